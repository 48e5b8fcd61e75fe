package beat

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

// shadow makes a beat in shadow mode.
func (w *world) shadow(name string) *Beat {
	w.Helper()
	b, err := New(w.pool, nil, Config{Name: name, Shadow: true, Log: slog.New(slog.NewTextHandler(w.Output(), nil))})
	if err != nil {
		w.Fatal(err)
	}
	b.parallel = sideBySide{2, 1} // also of few due times
	if err := b.start(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.step(b, w.now)
	return b
}

// decided returns the decisions of a shadow about a schedule, in the form of runs.
func (w *world) decided(id domain.ID) (texts []string) {
	w.Helper()
	rows, err := w.pool.Query(w.Context(), `select due_at, until, fate, coalesce(reason, '') from tactus.shadow_runs where schedule_id = $1 order by due_at`, id)
	if err != nil {
		w.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var due time.Time
		var until *time.Time
		var fate, reason string
		if err := rows.Scan(&due, &until, &fate, &reason); err != nil {
			w.Fatal(err)
		}
		text := due.UTC().Format(time.RFC3339Nano) + " " + fate
		if until != nil {
			text += " to " + until.UTC().Format(time.RFC3339Nano)
		}
		if reason != "" {
			text += " " + reason
		}
		texts = append(texts, text)
	}
	if err := rows.Err(); err != nil {
		w.Fatal(err)
	}
	return texts
}

func (a at) fire(n int) string { return a.due(n).UTC().Format(time.RFC3339Nano) + " fire" }

// nothingFired checks that the decisions have made no run, no event and no count.
func (w *world) nothingFired() {
	w.Helper()
	if n := w.count(`select (select count(*) from tactus.runs) + (select count(*) from tactus.outbox where topic = 'run') + (select count(*) from tactus.schedule_counts)`); n != 0 {
		w.Errorf("a beat in shadow mode left %d runs, events and counts", n)
	}
}

// TestShadowDecidesAndFiresNothing checks that a shadow begins when it starts, decides by the policies, and fires
// nothing.
func TestShadowDecidesAndFiresNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	old := w.backdate(w.create(minutely(`, "misfire_policy": "all"`)), 5*time.Minute+30*time.Second)
	limited, once := w.create(minutely(`, "max_runs": 2`)), w.create(minutely(`, "execution_policy": "skip"`))
	b := w.shadow("a")
	a := at{limited}
	if got := w.decided(old.ID); len(got) != 0 {
		t.Errorf("what was due before it began: %v", got)
	}
	for n := 1; n <= 3; n++ {
		w.step(b, a.due(n))
	}
	w.step(b, a.due(13).Add(30*time.Second))
	w.step(b, a.due(14))
	for _, c := range []struct {
		of   domain.Schedule
		want []string
	}{
		{limited, []string{a.fire(1), a.fire(2)}},
		{once, []string{a.fire(1) + " " + reasonOverlap, a.fire(2) + " " + reasonOverlap, a.fire(3) + " " + reasonOverlap}},
		{old, []string{a.fire(1), a.fire(2), a.fire(3), a.fire(4), a.fire(5)}},
	} {
		got := w.decided(c.of.ID)
		if diff := cmp.Diff(c.want, got[:min(len(got), len(c.want))]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	if got := w.decided(limited.ID); len(got) < 3 || got[2] != a.due(3).UTC().Format(time.RFC3339Nano)+" skipped "+reasonUsedUp {
		t.Errorf("beyond max_runs: %v", got)
	}
	if n := len(w.decided(old.ID)); n != 14 {
		t.Errorf("misfire policy all: %d of 14", n)
	}
	w.nothingFired()
	if s := b.Stats(); !s.Shadow || s.Fired != 0 || s.WouldFire == 0 {
		t.Errorf("%+v", s)
	}
}

// TestShadowsAreTwo makes one shadow crash between a commit and its answer, and another one take over.
func TestShadowsAreTwo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	first, second := w.shadow("a"), w.shadow("b")
	a := at{s}
	w.step(first, a.due(1))
	w.step(second, a.due(1))
	w.setClock(a.due(2))
	due, err := first.collect(t.Context(), a.due(2).UnixMicro())
	if err != nil || len(due.decisions) != 1 {
		t.Fatalf("%+v, %v", due, err)
	}
	if _, err := first.settleOrBisect(t.Context(), due.decisions); err != nil {
		t.Fatal(err)
	}
	w.step(second, a.due(2).Add(leaseTime+time.Second))
	if !second.lease.leading {
		t.Fatal("the second shadow has not taken over")
	}
	w.step(second, a.due(3))
	if out, err := first.settleOrBisect(t.Context(), due.decisions); err != nil || out.Held {
		t.Errorf("resumed, the first did %+v, %v", out, err)
	}
	if diff := cmp.Diff([]string{a.fire(1), a.fire(2), a.fire(3)}, w.decided(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.nothingFired()
}

// TestSwitchFromShadow switches to a beat that fires, after each way in which a shadow may end. Due times of the
// shadow's time do not fire and have a reason, and the first due time after the switch fires.
func TestSwitchFromShadow(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"stop", "crash", "crashed long ago", "still there"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s := w.create(minutely(`, "misfire_policy": "all", "max_runs": 2`))
			single := w.create(`{"run_at": "` + w.now.Add(90*time.Second).UTC().Format(time.RFC3339) + `", "task_name": "app.task"}`)
			shadow := w.shadow("shadow")
			a := at{s}
			for n := 1; n <= 3; n++ {
				w.step(shadow, a.due(n))
			}
			at := a.due(4)
			switch how {
			case "crashed long ago":
				at = a.due(9)
			case "stop":
				w.step(shadow, at)
				w.stop(shadow)
			}
			w.setClock(at.Add(10 * time.Second))
			real := w.beat("real")
			next := a.due(5)
			want := []string{a.missed(1, 4, domain.ReasonShadow), a.run(5), a.run(6)}
			if how == "crashed long ago" {
				next = a.due(10)
				want = []string{a.missed(1, 9, domain.ReasonShadow), a.run(10), a.run(11)}
			}
			if got := w.runs(s.ID); len(got) != 1 {
				t.Errorf("at the switch: %v", got)
			}
			w.endBeat(real, "crash")
			second := w.beat("second") // what the first has settled is settled
			for n := range 3 {
				w.step(second, next.Add(time.Duration(n)*time.Minute))
				if how == "still there" {
					w.step(shadow, w.now)
				}
			}
			if diff := cmp.Diff(want, w.runs(s.ID)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := w.runs(single.ID); len(got) != 1 || w.count(`select count(*) from tactus.runs where schedule_id = $1 and status = 'missed'`, single.ID) != 1 {
				t.Errorf("what was due once in the time of the shadow: %v", got)
			}
			if how == "still there" && !shadow.Stats().Retired {
				t.Error("the shadow has not retired")
			}
		})
	}
}

// TestShadowBesideOneThatFires checks that a shadow never takes the place of a beat that fires, and that a restart of
// that beat loses nothing because of the shadow.
func TestShadowBesideOneThatFires(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	real := w.beat("real")
	shadow := w.shadow("shadow")
	a := at{s}
	w.step(real, a.due(1))
	w.step(shadow, a.due(1))
	w.stop(real)
	w.step(shadow, a.due(2))
	w.step(shadow, a.due(2).Add(5*time.Second))
	real = w.beat("real")
	w.step(real, a.due(3))
	if diff := cmp.Diff([]string{a.run(1), a.run(2), a.run(3)}, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := w.decided(s.ID); len(got) != 0 || !shadow.Stats().Retired {
		t.Errorf("the shadow did %v", got)
	}
}

// TestBackToTheOldBeat replaces a beat that fires by a shadow, and then switches again.
func TestBackToTheOldBeat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(``))
	real := w.beat("real")
	a := at{s}
	w.step(real, a.due(1))
	w.endBeat(real, "crash")
	shadow := w.shadow("shadow") // the old beat is in charge from here on
	w.step(shadow, a.due(2))
	w.step(shadow, a.due(3))
	w.stop(shadow)
	real = w.beat("real")
	w.step(real, a.due(4))
	if diff := cmp.Diff([]string{a.run(1), a.missed(2, 3, domain.ReasonShadow), a.run(4)}, w.runs(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{a.fire(2), a.fire(3)}, w.decided(s.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestShadowSetsAside has one row among others that cannot be recorded: it is found, and recorded without its bad data.
func TestShadowSetsAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad, odd := w.create(minutely(``)), w.create(minutely(``)), w.create(minutely(``))
	_, err := w.pool.Exec(t.Context(), `update tactus.schedules set task = '[1]' where id = $1`, odd.ID)
	if err != nil {
		t.Fatal(err)
	}
	b, a := w.shadow("a"), at{good}
	w.step(b, a.due(1))
	w.execute(`create function own.spoil() returns trigger language plpgsql as
		'begin raise exception using errcode = ''22023'', message = ''spoiled''; end'`)
	w.execute(`create trigger spoil before insert on tactus.shadow_runs for each row
		when (new.fate = 'fire' and new.schedule_id = '` + bad.ID.String() + `') execute function own.spoil()`)
	w.step(b, a.due(2))
	if diff := cmp.Diff([]string{a.fire(1), a.fire(2)}, w.decided(good.ID)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := w.decided(bad.ID); len(got) != 2 || !strings.Contains(got[1], " missed to ") || !strings.Contains(got[1], "set aside") {
		t.Errorf("%v", got)
	}
	w.nothingFired()
}
