package api_test

import (
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestNoRoomForLargeRuns requests runs of a large task, one by one and in bulk, while too much waits to be handed over.
// They are refused for now, and runs of small tasks are recorded.
func TestNoRoomForLargeRuns(t *testing.T) {
	t.Parallel()
	s := serve(t)
	large := strings.Replace(minutely, `"n"`, `"large", "kwargs":{"k":"`+strings.Repeat("x", 2000)+`"}`, 1)
	id := s.do(t, "POST", "/schedules", large).want(t, 201).member(t, "id")
	small := s.do(t, "POST", "/schedules", strings.Replace(minutely, `"n"`, `"small"`, 1)).want(t, 201).member(t, "id")
	testenv.RunSink(t, s.pool, "celery")
	if _, err := s.pool.Exec(t.Context(), `insert into tactus.outbox (topic, aggregate_id, version, type, data)
		select 'run', gen_random_uuid(), 1, 'run.due', ('"' || repeat('x', 262142) || '"')::json from generate_series(1, 64)`); err != nil {
		t.Fatal(err)
	}
	a := s.do(t, "POST", "/schedules/"+id+"/trigger", "")
	if a.status != 503 || a.header.Get("Retry-After") != "1" || a.member(t, "code") != "backlog_full" {
		t.Errorf("%d %v %s", a.status, a.header, a.body)
	}
	bulk := s.do(t, "POST", "/schedules/bulk", `{"action":"trigger","ids":["`+id+`","`+small+`"]}`).want(t, 200).body
	if strings.Count(bulk, `"refused"`) != 1 || !strings.Contains(bulk, `"backlog_full"`) || strings.Count(bulk, `"done"`) != 1 {
		t.Error(bulk)
	}
}
