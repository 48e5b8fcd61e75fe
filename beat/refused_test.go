package beat

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// refuseAll has PostgreSQL refuse whatever is fired, as if the data were bad.
const refuseAll = `
create function own.refuse() returns trigger language plpgsql as $$ begin raise invalid_text_representation; end $$;
create trigger refuse before insert on tactus.outbox for each row when (new.topic = 'run') execute function own.refuse()`

// TestRefusalOfEverythingIsAnOutage has PostgreSQL refuse every due time with the code of bad data: together, and one
// schedule after the other. Nothing is set aside for it, it is told, and everything fires when that is over.
func TestRefusalOfEverythingIsAnOutage(t *testing.T) {
	t.Parallel()
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
	w.execute(refuseAll)
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
	w.execute(`drop trigger refuse on tactus.outbox`)
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

// TestBadOnesAloneAreSetAside has two bad schedules that are due by themselves. They are kept until something else
// fires, which tells that they are bad, and are set aside then.
func TestBadOnesAloneAreSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one, two := w.create(minutely(``)), w.create(minutely(``))
	good := w.create(strings.Replace(minutely(``), "T00:00:00", "T00:00:20", 1))
	b, a := w.beat("a"), at{one}
	w.step(b, a.due(1).Add(-time.Second))
	w.execute(`update tactus.schedules set task = '[1]' where id in ($1, $2)`, one.ID, two.ID)
	w.step(b, a.due(1))
	if n := w.count(`select count(*) from tactus.deadletters`); n > 0 {
		t.Errorf("%d were set aside before anything fired", n)
	}
	w.step(b, a.due(1).Add(25*time.Second))
	w.step(b, a.due(1).Add(40*time.Second))
	if n := w.count(`select count(*) from tactus.runs where schedule_id = $1`, good.ID); n != 1 {
		t.Errorf("the good one has %d runs", n)
	}
	for _, s := range []domain.Schedule{one, two} {
		if err := w.expect(s.ID, at{s}.missed(1, 1, domain.ReasonAside)); err != nil {
			t.Error(err)
		}
	}
	if got := b.watermark(w.now.UnixMicro()); got < w.now.UnixMicro() {
		t.Errorf("settled up to %v only", time.UnixMicro(got))
	}
}

// TestSetAsideWaitsForNoLock has somebody write the very letter by which a bad due time would be set aside. The others
// fire at once, and the bad one is set aside when that is over.
func TestSetAsideWaitsForNoLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bad, good := w.create(minutely(``)), w.create(minutely(``))
	b, a := w.beat("a"), at{bad}
	w.step(b, a.due(1).Add(-time.Second))
	w.execute(`update tactus.schedules set task = '[1]' where id = $1`, bad.ID)
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	_, err = tx.Exec(t.Context(), `insert into tactus.deadletters (source, reference, reason, data)
		values ('beat', $1::text, '', '{}')`, bad.ID.String()+"/"+a.due(1).UTC().Format("2006-01-02T15:04:05.000000Z"))
	if err != nil {
		t.Fatal(err)
	}
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
