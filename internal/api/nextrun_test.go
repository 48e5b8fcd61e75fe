package api_test

import (
	"strings"
	"testing"
)

// TestNextRunIsInItsZone shows the next due time of each kind of trigger with the offset of the schedule's zone.
func TestNextRunIsInItsZone(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, trigger := range []string{`"interval_seconds":3600`, `"cron_expression":"0 9 * * *"`, `"run_at":"2199-01-01T00:00"`} {
		a := s.do(t, "POST", "/schedules", `{"task_name":"t","timezone":"Asia/Tokyo",`+trigger+`}`).want(t, 201)
		if next := a.member(t, "next_run_at"); !strings.HasSuffix(next, "+09:00") {
			t.Errorf("%s: %s", trigger, next)
		}
	}
}
