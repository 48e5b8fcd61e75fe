package beat

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// refuseAll makes PostgreSQL refuse whatever is fired, as if the data were bad.
const refuseAll = `
create function own.refuse() returns trigger language plpgsql as $$ begin raise invalid_text_representation; end $$;
create trigger refuse before insert on tactus.outbox for each row when (new.topic = 'run') execute function own.refuse()`

// refuseAtCommit refuses when the transaction ends.
const refuseAtCommit = `
create function own.refuse() returns trigger language plpgsql as $$ begin raise invalid_text_representation; end $$;
create constraint trigger refuse after insert on tactus.outbox_run_0 deferrable initially deferred for each row execute function own.refuse()`

// TestRefusalOfEverythingIsAnOutage makes PostgreSQL refuse every due time with the code of bad data, whether schedules
// are due together or one after another. Nothing is set aside, the refusal is logged, and everything fires when it is
// over.
func TestRefusalOfEverythingIsAnOutage(t *testing.T) {
	t.Parallel()
	for when, c := range map[string]struct{ refuse, end string }{
		"at once":   {refuseAll, `drop trigger refuse on tactus.outbox`},
		"at commit": {refuseAtCommit, `drop trigger refuse on tactus.outbox_run_0`},
	} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			refusalOfEverything(t, c.refuse, c.end)
		})
	}
}

// TestRefusalOfTheOnlyOneIsAnOutage has a single schedule while PostgreSQL refuses to fire anything.
func TestRefusalOfTheOnlyOneIsAnOutage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(`, "misfire_policy": "all"`))
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1))
	w.execute(refuseAll)
	w.step(b, a.due(2))
	if n := w.count(`select count(*) from tactus.deadletters`); n > 0 {
		t.Errorf("%d were set aside", n)
	}
	w.execute(`drop trigger refuse on tactus.outbox`)
	w.step(b, a.due(2).Add(15*time.Second))
	if err := w.expect(s.ID, a.run(1), a.run(2)); err != nil {
		t.Error(err)
	}
}

func refusalOfEverything(t *testing.T, refuse, end string) {
	w := newWorld(t)
	var all []domain.Schedule
	for range 5 {
		all = append(all, w.create(minutely(`, "misfire_policy": "all"`)))
	}
	all = append(all, w.create(minutely(`, "misfire_policy": "all", "max_runs": 100`)),
		w.create(minutely(`, "misfire_policy": "all", "max_runs": 200`)))
	b, told := w.listenTo("a")
	a := at{all[0]}
	w.step(b, a.due(1))
	w.execute(refuse)
	for n := 2; n <= 3; n++ {
		w.step(b, a.due(n))
		w.step(b, a.due(n).Add(30*time.Second))
	}
	if n := w.count(`select count(*) from tactus.deadletters`); n > 0 {
		t.Errorf("%d were set aside", n)
	}
	if got := b.watermark(w.now.UnixMicro()); got >= a.due(2).UnixMicro() {
		t.Errorf("settled up to %v", time.UnixMicro(got))
	}
	if !strings.Contains(told.String(), "refuses whatever is fired") {
		t.Errorf("it is not told:\n%s", told)
	}
	w.execute(end)
	w.step(b, a.due(3).Add(45*time.Second))
	for _, s := range all {
		if err := w.expect(s.ID, at{s}.run(1), at{s}.run(2), at{s}.run(3)); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(told.String(), "goes on") {
		t.Error("that it is over is not told")
	}
}

// TestBadOnesAloneAreSetAside has two bad schedules that are due by themselves, one of which counts its runs. No sound
// schedule is due with them, but the probe shows that they are bad: they are set aside at once, and the probe leaves
// nothing behind.
func TestBadOnesAloneAreSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	all := []domain.Schedule{w.create(minutely(``)), w.create(minutely(``)), w.create(minutely(`, "max_runs": 5`))}
	b, a := w.beat("a"), at{all[0]}
	w.step(b, a.due(1).Add(-time.Second))
	w.execute(`update tactus.schedules set task = '[1]'`)
	w.step(b, at{all[2]}.due(1))
	for _, s := range all {
		if err := w.expect(s.ID, at{s}.missed(1, 1, domain.ReasonAside)); err != nil {
			t.Error(err)
		}
	}
	if n := w.count(`select count(*) from tactus.deadletters`); n != len(all) {
		t.Errorf("%d were set aside", n)
	}
	if n := w.count(`select (select count(*) from tactus.outbox where topic = 'run') + (select count(*) from tactus.schedule_counts)`); n > 0 {
		t.Errorf("%d rows of the probe are left", n)
	}
	if got := b.watermark(w.now.UnixMicro()); got < w.now.UnixMicro() {
		t.Errorf("settled up to %v only", time.UnixMicro(got))
	}
}

// TestNoDueTimePassesALockedBadOne has a bad due time that cannot be set aside, because another transaction is writing
// the same dead letter, and later due times of the same schedule in the same firing. None of these is settled before
// it.
func TestNoDueTimePassesALockedBadOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := w.create(minutely(`, "misfire_policy": "all"`)), w.create(minutely(``))
	b, a := w.beat("a"), at{bad}
	w.step(b, a.due(1).Add(-time.Second))
	w.execute(`update tactus.schedules set task = '[1]' where id = $1`, bad.ID)
	tx := w.writesLetter(a, 1)
	w.step(b, at{good}.due(3))
	if err := w.expect(bad.ID); err != nil {
		t.Errorf("a later one has passed it: %v", err)
	}
	if runs := w.runs(good.ID); len(runs) == 0 {
		t.Error("the other has not fired")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, a.due(3).Add(15*time.Second))
	if err := w.expect(bad.ID, a.missed(1, 1, domain.ReasonAside), a.missed(2, 2, domain.ReasonAside),
		a.missed(3, 3, domain.ReasonAside)); err != nil {
		t.Error(err)
	}
}

// writesLetter writes, in an open transaction, the dead letter by which a due time would be set aside.
func (w *world) writesLetter(a at, n int) pgx.Tx {
	w.Helper()
	tx, err := w.pool.Begin(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = tx.Rollback(context.WithoutCancel(w.Context())) })
	_, err = tx.Exec(w.Context(), `insert into tactus.deadletters (source, reference, reason, data)
		values ('beat', $1::text, '', '{}')`, a.s.ID.String()+"/"+a.due(n).UTC().Format("2006-01-02T15:04:05.000000Z"))
	if err != nil {
		w.Fatal(err)
	}
	return tx
}

// TestSetAsideWaitsForNoTable locks the whole table of the dead letters. A bad due time is set aside all the same, and
// listed later.
func TestSetAsideWaitsForNoTable(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"share", "access exclusive"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			bad, good := w.create(minutely(``)), w.create(minutely(``))
			b, _ := w.bounded()
			a := at{bad}
			w.step(b, a.due(1).Add(-time.Second))
			w.execute(`update tactus.schedules set task = '[1]' where id = $1`, bad.ID)
			tx, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = tx.Rollback(t.Context()) }()
			if _, err := tx.Exec(t.Context(), `lock table tactus.deadletters in `+mode+` mode`); err != nil {
				t.Fatal(err)
			}
			w.step(b, a.due(1)) // it fails when a statement of it waits for as long as it may
			if err := w.expect(good.ID, at{good}.run(1)); err != nil {
				t.Error(err)
			}
			if err := w.expect(bad.ID, a.missed(1, 1, domain.ReasonAside)); err != nil {
				t.Error(err)
			}
			n := w.count(`select count(*) from tactus.unlisted where source = 'beat' and reference like $1`, bad.ID.String()+"/%")
			if n != 1 {
				t.Errorf("%d are unlisted", n)
			}
		})
	}
}

// TestSetAsideWaitsForNoLock has another transaction that writes the dead letter of a bad due time. The others fire at
// once, and the bad one is set aside when the lock is gone.
func TestSetAsideWaitsForNoLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := w.create(minutely(``)), w.create(minutely(``))
	b, a := w.beat("a"), at{bad}
	w.step(b, a.due(1).Add(-time.Second))
	w.execute(`update tactus.schedules set task = '[1]' where id = $1`, bad.ID)
	tx := w.writesLetter(a, 1)
	w.step(b, a.due(1)) // it fails when a statement of it waits for as long as it may
	if err := w.expect(good.ID, at{good}.run(1)); err != nil {
		t.Error(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, a.due(1).Add(11*time.Second))
	if err := w.expect(bad.ID, a.missed(1, 1, domain.ReasonAside)); err != nil {
		t.Error(err)
	}
}
