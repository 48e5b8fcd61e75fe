package deadletter_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestDueTime has due times whose events cannot be made, beside one that fires. Once the cause is mended, one of them
// fires by its existing row; those that are no longer wanted stay set aside.
func TestDueTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry()
	b, err := beat.New(w.pool, nil, beat.Config{Name: "one", Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	at := func(d *domain.Definition) {
		d.CronExpression, d.RunAt = "", time.Now().Add(3*time.Second).UTC().Format(time.RFC3339)
	}
	bad, edited, disabled, had := w.put("bad", at), w.put("edited", at), w.put("disabled", at), w.put("had", at)
	good := w.put("good", at)
	all := []domain.ID{bad.ID, edited.ID, disabled.ID, had.ID}
	w.sql(`update tactus.schedules set task = '[1]' where id = any ($1)`, all)
	w.run(func(ctx context.Context) {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	letters := w.letters(4)
	testenv.Eventually(t, "the good schedule fires", func() error {
		if len(w.handed("good")) != 1 {
			return errNotYet
		}
		return nil
	})
	of := func(s domain.Schedule) []deadletter.Letter {
		i := slices.IndexFunc(letters, func(l deadletter.Letter) bool { return l.Reference[:36] == s.ID.String() })
		if i < 0 || letters[i].Source != "beat" || letters[i].Reason == "" {
			t.Fatalf("%s: %+v", s.Name, letters)
		}
		return letters[i : i+1]
	}
	testenv.Eventually(t, "the dead letters are counted", func() error {
		if n := b.Stats().SetAside; n != 4 {
			return fmt.Errorf("%d are counted", n)
		}
		return nil
	})
	w.retry(of(bad), false, "22P02")
	w.sql(`update tactus.schedules b set task = g.task from tactus.schedules g where b.id = any ($1) and g.id = $2`, all, good.ID)
	w.put("edited")
	if _, err := w.store.SetEnabled(t.Context(), disabled.ID, 0, false); err != nil {
		t.Fatal(err)
	}
	w.sql(`insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired) select id, trigger_set_at, 1 from tactus.schedules where id = $1`, had.ID)
	w.retry(of(edited), false, "another trigger")
	w.retry(of(disabled), false, "disabled")
	w.retry(of(had), false, "had all its runs")
	w.retry(of(bad), true, "it fires now")
	w.retry(of(bad), false, "put back or dropped already")
	testenv.Eventually(t, "it fires", func() error {
		if len(w.handed("good")) != 2 {
			return errNotYet
		}
		return nil
	})
	if got := w.text(`select string_agg(status || ' ' || kind, ',') from tactus.runs where schedule_id = $1`, bad.ID); got != "sent scheduled" && got != "due scheduled" {
		t.Errorf("the schedule's runs are: %s", got)
	}
	if got := w.text(`select fired::text from tactus.schedule_counts where schedule_id = $1`, bad.ID); got != "1" {
		t.Errorf("%s runs count towards max_runs", got)
	}
	w.letters(3)
}

// TestLockedCountsKeepNoLetterWaiting has somebody lock the whole table of the counts. A due time of a schedule that
// counts nothing fires, and those of others are said to be locked.
func TestLockedCountsKeepNoLetterWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	limited := func(d *domain.Definition) { d.MaxRuns = 5 }
	for _, s := range []domain.Schedule{w.put("plain"), w.put("one", limited), w.put("two", limited), w.put("three", limited)} {
		w.sql(`update tactus.schedules set effective_from = effective_from - interval '1 day' where id = $1`, s.ID)
		w.sql(`insert into tactus.runs (id, schedule_id, due_at, until, kind, status, schedule_version, reason, error)
			select gen_random_uuid(), $1, at, at, 'scheduled', 'missed', 1, $2, 'e'
			from date_trunc('hour', now()) at`, s.ID, domain.ReasonAside)
		w.sql(`insert into tactus.deadletters (source, reference, reason, data)
			select 'beat', schedule_id || '/1', 'e', json_build_object('schedule_id', schedule_id, 'due_at', due_at)
			from tactus.runs where schedule_id = $1`, s.ID)
	}
	letters := w.letters(4)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.schedule_counts in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	done, err := w.box.Retry(t.Context(), letters)
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(began); d > time.Minute {
		t.Errorf("it has waited for %v", d)
	}
	again, locked := 0, 0
	for _, o := range done {
		if o.Again {
			again++
		}
		if o.Locked {
			locked++
		}
	}
	if again != 1 || locked != 3 {
		t.Errorf("%+v", done)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.retry(w.letters(3), true, "it fires now")
}
