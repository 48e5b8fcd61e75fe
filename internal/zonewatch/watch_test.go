package zonewatch_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/zonewatch"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestNewerDataMovesWhatIsDue has a release before in which Tokyo was where Kathmandu is, and a process that still goes by it.
func TestNewerDataMovesWhatIsDue(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	err := outbox.InTx(t.Context(), pool, func(tx pgx.Tx) error {
		for i, name := range []string{"Asia/Tokyo", "Asia/Tokyo", "Europe/Berlin"} {
			if _, err := outbox.Put(t.Context(), tx, domain.Definition{
				Name: fmt.Sprintf("s%d", i), CronExpression: "30 9 * * *", Timezone: name, TaskName: "t",
			}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w := zonewatch.New(pool, "beat of here", slog.New(slog.NewTextHandler(&log, nil)))
	step := func() string {
		t.Helper()
		log.Reset()
		if err := w.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
		return log.String()
	}
	if told := step(); told != "" {
		t.Errorf("the first process tells of a change: %s", told)
	}
	for _, sql := range []string{
		`update tactus.zone_data set version = '2020a'`,
		`insert into tactus.zone_processes values ('api of elsewhere', '2020a', clock_timestamp())`,
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(t.Context(), `update tactus.zone_data set data = $1 where timezone = 'Asia/Tokyo'`, zone.File("Asia/Kathmandu")); err != nil {
		t.Fatal(err)
	}
	if told := step(); strings.Contains(told, "moved") {
		t.Errorf("all schedules are read in each step: %s", told)
	}
	w = zonewatch.New(pool, "beat of here", slog.New(slog.NewTextHandler(&log, nil)))
	told := step()
	for text, times := range map[string]int{
		"moved a due time": 2, "moved_next_due=2": 1, "name=s1": 1, "Berlin": 0, "from=2020a to=" + zone.Version(): 1,
		"2020a api of elsewhere, " + zone.Version() + " beat of here": 1,
	} {
		if got := strings.Count(told, text); got != times {
			t.Errorf("%q is told %d times, want %d:\n%s", text, got, times, told)
		}
	}
	if told := step(); told != "" {
		t.Errorf("it is told again: %s", told)
	}
	if _, err := pool.Exec(t.Context(), `delete from tactus.zone_data`); err != nil { // as if the zones were new
		t.Fatal(err)
	}
	for range 60 {
		step()
	}
	var noted int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.zone_data`).Scan(&noted); err != nil || noted != 2 {
		t.Errorf("%d zones are noted within the hour, %v", noted, err)
	}
}
