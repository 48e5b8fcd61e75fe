package pages_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestCompletedIsNotPaused shows a schedule that a beat has completed and thereby disabled.
func TestCompletedIsNotPaused(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "over", TaskName: "app.t", RunAt: "2099-01-01T00:00:00Z"})
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set enabled = false, completed_at = now() where id = $1`, made.ID); err != nil {
		t.Fatal(err)
	}
	self := "/schedules/" + made.ID.String()
	for address, has := range map[string]string{
		"/schedules": "■ completed", "/schedules?state=completed": ">over<", self: "■ completed", "/schedules?state=paused": "No schedule is like that",
	} {
		if page := s.get(t, address).body; !strings.Contains(page, has) || strings.Contains(page, "⏸&#xfe0e; paused") {
			t.Errorf("%s: %s", address, page)
		}
	}
	if page := s.get(t, "/").body; strings.Contains(page, ">over<") {
		t.Errorf("the overview has it among the paused ones: %s", page)
	}
}
