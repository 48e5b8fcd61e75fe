package api_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// TestTimesBeyondAllYears has times that JSON cannot express, as written by hand or by an older version that believed a
// worker. The row is shown as invalid, and all others are served, with their histories.
func TestTimesBeyondAllYears(t *testing.T) {
	t.Parallel()
	s := serve(t)
	id := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	other := s.do(t, "POST", "/schedules", `{"name":"other","task_name":"t","cron_expression":"* * * * *"}`).want(t, 201).member(t, "id")
	run := s.do(t, "POST", "/schedules/"+id+"/trigger", "").want(t, 202).member(t, "task_id")
	for _, far := range []string{"infinity", "-infinity", "58880-01-01 00:00:00+00", "1734-01-01 00:00:00+00 BC"} {
		for _, sql := range []string{
			`update tactus.runs set started_at = $1::text::timestamptz, finished_at = $1::text::timestamptz, sent_at = $1::text::timestamptz, expires_at = $1::text::timestamptz, fired_at = $1::text::timestamptz`,
			`update tactus.schedules set effective_from = $1::text::timestamptz, created_at = $1::text::timestamptz, updated_at = $1::text::timestamptz, trigger_set_at = $1::text::timestamptz where id = '` + id + `'`,
		} {
			if _, err := s.pool.Exec(t.Context(), sql, far); err != nil {
				t.Fatal(err)
			}
			s.do(t, "GET", "/schedules/"+id+"/history", "").want(t, 200)
			s.do(t, "GET", "/tasks/"+run+"/status", "").want(t, 200)
			s.do(t, "GET", "/schedules/"+other, "").want(t, 200)
			if body := s.do(t, "GET", "/schedules", "").want(t, 200).body; !strings.Contains(string(body), `"other"`) {
				t.Errorf("%s: the other one is not listed: %s", far, body)
			}
		}
		if reason := s.do(t, "GET", "/schedules/"+id, "").want(t, 200).member(t, "invalid_reason"); reason != sqlexpr.NotInYears {
			t.Errorf("%s: invalid_reason %q", far, reason)
		}
		for _, invalid := range []string{"true", "false"} {
			body := string(s.do(t, "GET", "/schedules?invalid="+invalid, "").want(t, 200).body)
			if strings.Contains(body, id) != (invalid == "true") || strings.Contains(body, other) != (invalid == "false") {
				t.Errorf("%s: invalid=%s lists %s", far, invalid, body)
			}
		}
		if n, err := catalog.New(s.pool).Invalid(t.Context()); err != nil || n != 1 {
			t.Errorf("%s: %d are counted, %v", far, n, err)
		}
	}
}
