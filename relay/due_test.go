package relay_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestDueTimesAreReadFromEvents reads due times from events as tactus.run_due writes them, and from other texts, which
// yield none.
func TestDueTimesAreReadFromEvents(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	run := outbox.NewID()
	written := func(due string) []byte {
		var data string
		if err := pool.QueryRow(t.Context(), `
select tactus.run_due(gen_random_uuid(), '","due_at":"', '{"task_name":"t"}'::json, $1::text::uuid, $2::text::timestamptz, 'manual')::text`,
			run.String(), due).Scan(&data); err != nil {
			t.Fatal(err)
		}
		return []byte(data)
	}
	for _, c := range []struct {
		name string
		data []byte
		want time.Time
	}{
		{"microseconds", written("2026-11-29 15:25:31.757170+00"), time.Date(2026, 11, 29, 15, 25, 31, 757170000, time.UTC)},
		{"a whole second of another zone", written("2026-11-29 15:25:31+05:30"), time.Date(2026, 11, 29, 9, 55, 31, 0, time.UTC)},
		{"the last year of four digits", written("9999-12-31 23:59:59.999999+00"), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)},
		{"a year of five digits", written("10000-01-01 00:00:00+00"), time.Time{}},
		{"another run", []byte(`{"schedule_id":"` + run.String() + `","run_id":"` + domain.ID{1}.String() + `","due_at":"2026-11-29T15:25:31Z"}`), time.Time{}},
		{"another order", []byte(`{"run_id":"` + run.String() + `","due_at":"2026-11-29T15:25:31Z"}`), time.Time{}},
		{"cut off", []byte(`{"schedule_id":"` + run.String() + `","run_id":"`), time.Time{}},
		{"short", []byte(`{"schedule_id":"`), time.Time{}},
		{"nothing", nil, time.Time{}},
	} {
		if got := relay.DueOf(outbox.Row{Aggregate: run, Data: json.RawMessage(c.data)}); !got.Equal(c.want) {
			t.Errorf("%s: %s, want %s: %s", c.name, got, c.want, c.data)
		}
	}
}
