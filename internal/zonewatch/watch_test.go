package zonewatch_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/zonewatch"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestNewerDataMovesWhatIsDue has a former release in which Tokyo had Kathmandu's offset, and a process that still uses
// it.
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
		t.Errorf("the first process has reported a change: %s", told)
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
		t.Errorf("a step has read all schedules: %s", told)
	}
	w = zonewatch.New(pool, "beat of here", slog.New(slog.NewTextHandler(&log, nil)))
	told := step()
	for text, times := range map[string]int{
		"moved a due time": 2, "moved_next_due=2": 1, "name=s1": 1, "Berlin": 0, "from=2020a to=" + zone.Version(): 1,
		"2020a api of elsewhere, " + zone.Version() + " beat of here": 1,
	} {
		if got := strings.Count(told, text); got != times {
			t.Errorf("%q was logged %d times, want %d:\n%s", text, got, times, told)
		}
	}
	if told := step(); told != "" {
		t.Errorf("logged again: %s", told)
	}
	const readEvents = `select string_agg(format('%s/%s %s %s', type, version, data->>'timezone', (select string_agg(s->>'name', ' ' order by s->>'name')
		from json_array_elements(data->'schedules') s)), ', ') from tactus.outbox where topic = 'zone'`
	var events string
	if err := pool.QueryRow(t.Context(), readEvents).Scan(&events); err != nil || events != "zone.changed/1 Asia/Tokyo s0 s1" {
		t.Errorf("the log has %q, %v", events, err)
	}
	if _, err := pool.Exec(t.Context(), `delete from tactus.zone_data`); err != nil { // as if the zones were new
		t.Fatal(err)
	}
	for range 60 {
		step()
	}
	var noted int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.zone_data`).Scan(&noted); err != nil || noted != 2 {
		t.Errorf("%d zones are recorded within the hour, %v", noted, err)
	}
}

// TestUnreadableZone has unreadable data for one zone: all other zones are compared.
func TestUnreadableZone(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	for _, name := range []string{"Africa/Cairo", "Asia/Tokyo", "Europe/Berlin"} {
		d := domain.Definition{Name: name, CronExpression: "30 9 * * *", Timezone: name, TaskName: "t"}
		if _, _, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		data := zone.File("Asia/Kathmandu")
		if name == "Asia/Tokyo" {
			data = []byte("spoiled")
		}
		if _, err := pool.Exec(t.Context(), `insert into tactus.zone_data values ($1, '2020a', $2)`, name, data); err != nil {
			t.Fatal(err)
		}
	}
	w := zonewatch.New(pool, "beat of here", slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err := w.Step(t.Context()); err != nil {
		t.Error(err)
	}
	var zones string
	if err := pool.QueryRow(t.Context(), `select string_agg(data->>'timezone', ' ' order by data->>'timezone') from tactus.outbox where topic = 'zone'`).
		Scan(&zones); err != nil || zones != "Africa/Cairo Europe/Berlin" {
		t.Errorf("reported %q, %v", zones, err)
	}
	var left int
	if err := pool.QueryRow(t.Context(), `select count(*) from tactus.zone_data where version = '2020a'`).Scan(&left); err != nil || left > 0 {
		t.Errorf("%d zones are not recorded, %v", left, err)
	}
}
