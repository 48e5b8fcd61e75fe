package pages_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestOverviewSaysWhatWaits looks at the overview while runs are recorded that nobody hands over. What another run
// keeps back, and what was recorded a moment ago, does not count.
func TestOverviewSaysWhatWaits(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	execute := func(sql string) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := s.store.Trigger(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	execute(`update tactus.runs set waiting = true, fired_at = now() - interval '1 day' where id in (select id from tactus.runs limit 1)`)
	if page := s.get(t, "/").body; strings.Contains(page, "to be handed over, the oldest") {
		t.Errorf("two are recorded just now: %s", page)
	}
	execute(`update tactus.runs set fired_at = now() - interval '3 minutes' where not waiting`)
	page := s.get(t, "/").body
	for _, said := range []string{
		`<a class="trouble" href="/runs?state=due">! 2 runs wait to be handed over</a>`, "2 wait to be handed over, the oldest for 3 min", "nothing failed",
	} {
		if !strings.Contains(page, said) {
			t.Errorf("no %q: %s", said, page)
		}
	}
	if strings.Contains(page, "✓ nothing failed") {
		t.Errorf("it is called well: %s", page)
	}
	execute(`update tactus.runs set status = 'sent', sent_at = now() where not waiting`)
	if page := s.get(t, "/").body; strings.Contains(page, "to be handed over, the oldest") {
		t.Errorf("they are handed over: %s", page)
	}
}
