package projection_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/outbox"
)

// TestBackfillsAreRebuilt asks for backfills, cancels one, spoils and removes their rows, and has them made of their
// events again: one that goes on goes on behind the last of its runs.
func TestBackfillsAreRebuilt(t *testing.T) {
	t.Parallel()
	w := filled(t)
	s, err := outbox.GetByName(t.Context(), w.pool, "a")
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]domain.ID{}
	for _, name := range []string{"lost", "cancelled", "forgotten", "reopened", "kept"} {
		ctx := outbox.WithActor(t.Context(), "ann", "wrong prices: "+name)
		id, plan, err := w.store.Backfill(ctx, s.ID, domain.BackfillRequest{
			From: time.Now().Add(-time.Hour).Format(time.RFC3339), To: time.Now().Add(-10 * time.Minute).Format(time.RFC3339),
		}, 0, "")
		if err != nil || len(plan.DueTimes) < 9 {
			t.Fatal(len(plan.DueTimes), err)
		}
		made[name] = id
	}
	for _, name := range []string{"cancelled", "forgotten", "reopened"} {
		if _, err := w.store.CancelBackfill(outbox.WithActor(t.Context(), "bob", "enough"), made[name]); err != nil {
			t.Fatal(err)
		}
	}
	rebuild := func(swap bool) (r projection.Result) {
		r, err := projection.Rebuild(t.Context(), w.pool, projection.Config{Swap: swap, Tell: func(d projection.Difference) error {
			t.Log(d.What)
			return nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := rebuild(false); r.Different != 0 {
		t.Errorf("as they were written: %+v", r)
	}
	state := func(name string) string {
		rows, err := w.pool.Query(t.Context(), `select format('%s of %s, %s fired, %s %s by %s: %s', place, total, fired, coalesce(outcome, 'open'),
			coalesce(ended_by, ''), actor, reason) from tactus.backfills where id = $1`, made[name])
		if err != nil {
			t.Fatal(err)
		}
		text, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(text, " ")
	}
	before := state("cancelled")
	// A beat has made the first two runs of "lost".
	w.sql(t, `insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at)
		select gen_random_uuid(), schedule_id, due_times[n], id, 'backfill', 'due', 1, now() from tactus.backfills, generate_series(1, 2) n where id = $1`, made["lost"])
	w.sql(t, `update tactus.backfills set place = 2, fired = 2 where id = $1`, made["lost"])
	w.sql(t, `update tactus.backfills set outcome = null, ended_at = null where id = $1`, made["reopened"])
	w.sql(t, `update tactus.backfills set outcome = 'completed' where id = $1`, made["cancelled"])
	if r := rebuild(false); r.Different != 2 {
		t.Errorf("what a beat has done is taken for a difference, or a spoiled row is not: %+v", r)
	}
	w.sql(t, `delete from tactus.backfills where id in ($1, $2)`, made["lost"], made["forgotten"])
	if r := rebuild(true); r.Different != 3 || r.Replaced != 3 || r.Left != 0 {
		t.Errorf("mended: %+v", r)
	}
	if r := rebuild(false); r.Different != 0 {
		t.Errorf("after it: %+v", r)
	}
	for name, want := range map[string]string{
		"lost": "2 of ", "cancelled": before, "forgotten": "", "reopened": strings.ReplaceAll(before, "cancelled", "reopened"), "kept": "0 of ",
	} {
		got := state(name)
		if want = strings.Replace(want, "reopened bob", "cancelled bob", 1); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	var told string
	if err := w.pool.QueryRow(t.Context(), `select string_agg(format('%s %s %s', type, headers->>'actor', headers->>'reason'), '; ' order by version)
		from tactus.outbox where topic = 'backfill' and aggregate_id = $1`, made["cancelled"]).Scan(&told); err != nil {
		t.Fatal(err)
	}
	if want := "backfill.asked ann wrong prices: cancelled; backfill.cancelled bob enough"; told != want {
		t.Errorf("%s, want %s", told, want)
	}
	var due int
	if err := w.pool.QueryRow(t.Context(), `select cardinality(due_times) from tactus.backfills where id = $1`, made["lost"]).Scan(&due); err != nil || due < 9 {
		t.Errorf("%d due times, %v", due, err)
	}
}
