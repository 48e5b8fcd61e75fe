package outbox_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestFunctionsTakeOddMembersAsGoDoes gives each list, and each member of some other type, what is not meant, alone and
// beside another fault. put_schedule takes and refuses what Go does, by the same codes.
func TestFunctionsTakeOddMembersAsGoDoes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	values := []string{
		`null`, `true`, `0`, `-1`, `1.5`, `""`, `"a"`, `"\u007f"`, `[]`, `{}`, `[null]`, `[[]]`, `[["a"]]`, `[["a"],["b"]]`, `[[["a"]]]`,
		`["a",["b"]]`, `[{}]`, `[{"a":"b"}]`, `[1]`, `[true]`, `[""]`, `["a","a"]`, `["a",null]`, `{"a":null}`, `{"a":["b"]}`, `{"a":1}`,
	}
	members := []string{
		"tags", "exclude_calendars", "only_calendars", "args", "kwargs", "headers", "name", "description", "category", "queue",
		"enabled", "priority", "max_runs", "on_excluded", "stream", "ignore_result",
	}
	for _, more := range []string{"", `,"misfire_policy":"some"`} {
		for _, member := range members {
			for _, value := range values {
				text := fmt.Sprintf(`{"task_name":"a","cron_expression":"0 9 * * *"%s,"%s":%s}`, more, member, value)
				d, err := domain.Decode([]byte(text))
				_, _, normal := d.Normalize(domain.Context{Now: time.Now(), Check: handover.Limits{}.Check})
				var want, got []string
				for _, f := range domain.FaultsOf(domain.Join(err, normal)) {
					want = append(want, f.Code+" "+f.Field)
				}
				_, err = pool.Exec(t.Context(), `select tactus.put_schedule($1)`, text)
				if refused, is := errors.AsType[*pgconn.PgError](err); is && refused.Code == "22023" {
					var faults []struct{ Code, Location string }
					if err := json.Unmarshal([]byte(refused.Detail), &faults); err != nil {
						t.Fatal(err)
					}
					for _, f := range faults {
						got = append(got, f.Code+" "+f.Location)
					}
				} else if err != nil {
					got = append(got, err.Error())
				}
				got = slices.DeleteFunc(got, func(s string) bool { // Go looks calendars up elsewhere
					return s[:min(len(s), len("calendar_unknown"))] == "calendar_unknown"
				})
				if !slices.Equal(sorted(want), sorted(got)) {
					t.Errorf("%s: Go finds %v, SQL %v", text, want, got)
				}
			}
		}
	}
}
