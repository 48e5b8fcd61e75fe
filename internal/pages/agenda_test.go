package pages_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestCalendarCountsWhereSpreadFires has schedules that are due at once and are spread over six hours, and one that is
// due every ten minutes and spread over nine: each counts where it fires, and once an hour.
func TestCalendarCountsWhereSpreadFires(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for n := range 12 {
		s.create(t, domain.Definition{
			Name: fmt.Sprint("nightly-", n), TaskName: "app.t", Tags: []string{"night"}, CronExpression: "0 21 * * *", SpreadSeconds: 6 * 3600,
		})
	}
	s.create(t, domain.Definition{
		Name: "often", TaskName: "app.t", Tags: []string{"often"}, CronExpression: "*/10 * * * *", SpreadSeconds: 9 * 60,
	})
	first := time.Now().UTC().AddDate(0, 0, 1)
	shown := func(day, hour, n int) string {
		at := first.AddDate(0, 0, day)
		return fmt.Sprintf(`title="%s %02d:00: %d"`, at.Format("01-02 Mon"), hour, n)
	}
	page := s.get(t, "/calendar?tag=night&from="+first.Format(time.DateOnly)).body
	for hour, n := range map[int]int{0: 2, 1: 2, 2: 2, 3: 0, 20: 0, 21: 2, 22: 2, 23: 2} {
		for day := range 2 {
			if want := shown(day, hour, n); !strings.Contains(page, want) {
				t.Errorf("no %s", want)
			}
		}
	}
	page = s.get(t, "/calendar?tag=often&from="+first.Format(time.DateOnly)).body
	for hour := range 24 {
		if want := shown(0, hour, 1); !strings.Contains(page, want) {
			t.Errorf("no %s", want)
		}
	}
	if t.Failed() {
		t.Log(page)
	}
}
