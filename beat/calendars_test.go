package beat

import (
	"crypto/md5"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// calendar creates or replaces a calendar.
func (w *world) calendar(name string, items ...calendar.Item) {
	w.Helper()
	if _, _, err := w.store.PutCalendar(w.Context(), domain.Calendar{Name: name, Days: append([]calendar.Item{}, items...)}, 0); err != nil {
		w.Fatal(err)
	}
}

// window is a range of minutes of real time after a schedule was made.
func window(s domain.Schedule, from, to int) calendar.Item {
	at := func(n int) string { return (at{s}).due(n).UTC().Format(time.RFC3339) }
	return calendar.Item{From: at(from), To: at(to), Reason: "maintenance"}
}

func excluded(s domain.Schedule, from, to int, why string) string {
	return fmt.Sprintf("%s excluded to %s excluded by calendars%s", at{s}.due(from).UTC().Format(time.RFC3339Nano),
		at{s}.due(to).UTC().Format(time.RFC3339Nano), why)
}

// TestExcludedIsRecorded excludes a schedule for two minutes, and checks that this is recorded.
func TestExcludedIsRecorded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calendar("closed")
	s := w.create(minutely(`, "exclude_calendars": ["closed"]`))
	w.calendar("closed", window(s, 2, 4))
	b := w.beat("a")
	for n := 1; n <= 4; n++ {
		w.step(b, at{s}.due(n))
	}
	if err := w.expect(s.ID, at{s}.run(1), excluded(s, 2, 2, ": maintenance"), excluded(s, 3, 3, ": maintenance"), at{s}.run(4)); err != nil {
		t.Error(err)
	}
	if got := b.Stats(); got.Missed != 0 || got.Fired != 2 {
		t.Errorf("%d are counted as missed and %d as fired, want none of the excluded ones", got.Missed, got.Fired)
	}
	// Excluded due times that are settled late are recorded as one range, between those that fire.
	w.calendar("closed", window(s, 5, 8))
	w.step(b, at{s}.due(4).Add(2*time.Second))
	w.step(b, at{s}.due(8))
	if err := w.expect(s.ID, at{s}.run(1), excluded(s, 2, 2, ": maintenance"), excluded(s, 3, 3, ": maintenance"), at{s}.run(4),
		excluded(s, 5, 7, ": maintenance"), at{s}.run(8)); err != nil {
		t.Error(err)
	}
}

// TestCalendarMovesDueTimes changes a calendar under a beat that hears of it, one that has not heard of it when a due
// time comes, and one that starts afterwards.
func TestCalendarMovesDueTimes(t *testing.T) {
	t.Parallel()
	for _, hears := range []string{"polls", "not yet", "begins"} {
		t.Run(hears, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			due := w.now.Truncate(time.Minute).Add(10 * time.Minute)
			w.calendar("closed")
			s := w.create(fmt.Sprintf(`{"name": "daily", "task_name": "t", "cron_expression": "%d %d * * *", "timezone": "UTC",
				"exclude_calendars": ["closed"], "on_excluded": "next_allowed"}`, due.UTC().Minute(), due.UTC().Hour()))
			b := w.beat("a")
			if kept, _ := b.memory.Find(s.ID); kept.Due != due.UnixMicro() {
				t.Fatalf("due at %s, want %s", time.UnixMicro(kept.Due), due)
			}
			w.setClock(due.Add(-time.Minute))
			w.calendar("closed", calendar.Item{From: due.UTC().Format("2006-01-02")})
			switch hears {
			case "polls":
				w.step(b, due.Add(-50*time.Second))
			case "not yet":
				w.setClock(due)
				b.polls.at = memory.Never
				if err := b.fire(t.Context(), due.UnixMicro()); err != nil {
					t.Fatal(err)
				}
			case "begins":
				w.endBeat(b, "stop")
				b = w.beat("b")
			}
			w.step(b, due)
			if runs := w.runs(s.ID); len(runs) > 0 {
				t.Errorf("it fired on a day that is closed: %v", runs)
			}
			w.step(b, due.Add(24*time.Hour))
			if err := w.expect(s.ID, due.Add(24*time.Hour).UTC().Format(time.RFC3339)+" due"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCalendarOfANewSchedule creates a schedule with a calendar that the beat does not know.
func TestCalendarOfANewSchedule(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.beat("a")
	w.calendar("open")
	s := w.create(minutely(`, "only_calendars": ["open"]`))
	w.calendar("open", window(s, 2, 3))
	w.step(b, w.now.Add(2*time.Second))
	for n := 1; n <= 3; n++ {
		w.step(b, at{s}.due(n))
	}
	if err := w.expect(s.ID, excluded(s, 1, 1, ""), at{s}.run(2), excluded(s, 3, 3, "")); err != nil {
		t.Error(err)
	}
}

// TestCalendarIsOver lets the days on which a schedule may fire run out: the schedule is not completed, and fires when
// the calendar gets more days.
func TestCalendarIsOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calendar("open")
	s := w.create(minutely(`, "only_calendars": ["open"], "on_excluded": "next_allowed"`))
	w.calendar("open", window(s, 1, 2))
	b := w.beat("a")
	for n := 1; n <= 4; n++ {
		w.step(b, at{s}.due(n))
	}
	if kept, err := w.store.Get(t.Context(), s.ID); err != nil || kept.State() != domain.Active {
		t.Errorf("%s, %v", kept.State(), err)
	}
	w.calendar("open", window(s, 6, 7))
	w.step(b, at{s}.due(5))
	w.step(b, at{s}.due(6))
	if err := w.expect(s.ID, at{s}.run(1), at{s}.run(6)); err != nil {
		t.Error(err)
	}
}

// TestCalendarKeepsTheCount checks that excluded due times do not count for max_runs.
func TestCalendarKeepsTheCount(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calendar("closed")
	s := w.create(minutely(`, "exclude_calendars": ["closed"], "max_runs": 2`))
	w.calendar("closed", window(s, 1, 3))
	b := w.beat("a")
	for n := 1; n <= 6; n++ {
		w.step(b, at{s}.due(n))
	}
	if err := w.expect(s.ID, excluded(s, 1, 1, ": maintenance"), excluded(s, 2, 2, ": maintenance"), at{s}.run(3), at{s}.run(4)); err != nil {
		t.Error(err)
	}
}

// TestHearsOfCalendars checks that a beat hears of a changed calendar by its feed, without a poll.
func TestHearsOfCalendars(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calendar("closed")
	s := w.create(minutely(`, "exclude_calendars": ["closed"], "on_excluded": "next_allowed"`))
	b := w.beat("a")
	w.calendar("closed", calendar.Item{From: w.now.UTC().AddDate(0, 0, -1).Format("2006-01-02"), To: w.now.UTC().AddDate(0, 0, 1).Format("2006-01-02")})
	id := domain.ID(md5.Sum([]byte("calendar closed")))
	m, err := cloudevents.Schedule(outbox.Row{Aggregate: id, Version: 2, Type: domain.CalendarUpdated, Data: []byte(`{}`)}, "")
	if err != nil {
		t.Fatal(err)
	}
	b.polls.at = memory.Never
	b.receive(parseEvent(m))
	if _, err := b.step(t.Context(), w.now.UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if kept, _ := b.memory.Find(s.ID); kept.Due < w.now.AddDate(0, 0, 1).UnixMicro() {
		t.Errorf("it is due at %s, on a day that is closed", time.UnixMicro(kept.Due))
	}
	if !acknowledged(m) {
		t.Error("memory has the change, and the event is not acknowledged")
	}
}

// TestLoadWithCalendarsInSlices loads many schedules that calendars move, each of which takes long to make due, beside
// one that has no calendar: that one fires in the first step after the load, when most of the others are not reckoned
// yet, and the watermark stays until they are, so that a crash meanwhile loses nothing. In the end each is due.
func TestLoadWithCalendarsInSlices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calendar("closed", calendar.Item{From: "2000-01-01T18:00", To: "2000-01-02T09:00", RRule: "FREQ=DAILY"})
	w.calendar("weekend", calendar.Item{From: "2000-01-01"})
	w.create(`{"name": "moves 0", "cron_expression": "0 19 * * *", "task_name": "t", "exclude_calendars": ["closed"],
		"on_excluded": "next_allowed"}`)
	w.execute(`
insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), 'moves ' || n, 1, enabled, replace(trigger, '"0 19 ', '"' || n % 60 || ' ' || 19 + n / 60 || ' '), anchor, policy,
    effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task
from tactus.schedules, generate_series(1, 199) n`)
	moves := w.create(fmt.Sprintf(`{"name": "moves", "cron_expression": "%d %d * * *", "timezone": "UTC", "task_name": "t",
		"exclude_calendars": ["weekend"], "on_excluded": "drop_if_taken"}`, w.now.Minute()+1, w.now.UTC().Hour()))
	plain := w.create(minutely(``))
	first := w.beat("first")
	w.endBeat(first, "stop")
	before := w.count(`select extract(epoch from watermark)::bigint from tactus.leases where name = 'beat'`)

	b, err := New(w.pool, nil, Config{Name: "second", Log: first.log})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.trusting = true
	at := at{plain}.due(1)
	w.setClock(at)
	if err := b.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spent := b.memory.Reckoned(); spent > 0 {
		t.Errorf("the load took %d steps to make what is due by calendars due", spent)
	}
	if _, err := b.step(t.Context(), at.UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if runs := w.runs(plain.ID); len(runs) != 1 || !b.memory.Sweeping() {
		t.Errorf("after a step, what has no calendar has the runs %v, and the load is over: %v", runs, !b.memory.Sweeping())
	}
	if held := b.watermark(at.UnixMicro()); held/1e6 > int64(before) {
		t.Errorf("the watermark has moved on from %d to %d", before, held/1e6)
	}
	for n := 0; b.memory.Sweeping() && n < 1000; n++ {
		if _, err := b.step(t.Context(), at.UnixMicro()); err != nil {
			t.Fatal(err)
		}
	}
	w.step(b, at.Add(2*time.Second))
	if held := b.watermark(at.UnixMicro()); b.memory.Sweeping() || held/1e6 <= int64(before) {
		t.Errorf("the load is over: %v; the watermark is %d", !b.memory.Sweeping(), held/1e6)
	}
	if runs := w.runs(moves.ID); len(runs) != 1 {
		t.Errorf("what was due during the load has the runs %v", runs)
	}
}

// TestRefusedCalendarMakesSchedulesInvalid has a calendar that cannot be read, and one that exceeds the room for all
// calendars. Schedules that use them become invalid, with a reason that says how to mend it, and do not fire. Others go
// on.
func TestRefusedCalendarMakesSchedulesInvalid(t *testing.T) {
	t.Parallel()
	for _, loaded := range []bool{true, false} {
		w := newWorld(t)
		for _, name := range []string{"spoiled", "large", "sound"} {
			w.calendar(name, calendar.Item{From: "2000-01-01"})
		}
		named := func(name, more string) domain.Schedule {
			return w.create(fmt.Sprintf(`{"name": %q, "interval_seconds": 60, "task_name": "t", "exclude_calendars": [%q]%s}`, name, name, more))
		}
		moves := named("spoiled", `, "on_excluded": "next_allowed"`)
		large, sound := named("large", ``), named("sound", ``)
		var b *Beat
		if !loaded {
			b = w.beat("a")
		}
		w.execute(`update tactus.calendars set days = '["never"]', version = version + 1 where name = 'spoiled'`)
		w.execute(`update tactus.calendars set days = $1, version = version + 1 where name = 'large'`,
			`[{"from":"1990-01-01T00:00","to":"1990-01-01T00:01","rrule":"FREQ=MINUTELY"}]`)
		if loaded {
			b = w.beat("a")
		} else {
			b.calendars.wanted = true // as after events of them
		}
		for n := 1; n <= 3; n++ {
			w.step(b, at{sound}.due(n))
		}
		for _, s := range []domain.Schedule{moves, large} {
			kept, err := w.store.Get(t.Context(), s.ID)
			if err != nil || kept.State() != domain.Unfit || !strings.Contains(kept.InvalidReason, "the calendar "+s.Name) {
				t.Errorf("loaded: %v: %s is %s: %q, %v", loaded, s.Name, kept.State(), kept.InvalidReason, err)
			}
			if runs := w.runs(s.ID); len(runs) > 0 {
				t.Errorf("loaded: %v: %s has the runs %v", loaded, s.Name, runs)
			}
		}
		if runs := w.runs(sound.ID); len(runs) != 3 {
			t.Errorf("loaded: %v: the sound one has the runs %v", loaded, runs)
		}
	}
}

// TestCalendarNamedByAnEdit edits a schedule that has fired to name an older calendar, which would have moved the due
// time to an instant that has passed since. The settled due time stays settled.
func TestCalendarNamedByAnEdit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.now.Truncate(time.Minute).Add(10 * time.Minute)
	w.calendar("closed", calendar.Item{From: due.UTC().Format("2006-01-02")})
	s := w.create(fmt.Sprintf(`{"name": "yearly", "task_name": "t", "cron_expression": "%d %d %d %d *", "timezone": "UTC"}`,
		due.UTC().Minute(), due.UTC().Hour(), due.UTC().Day(), due.UTC().Month()))
	b := w.beat("a")
	w.step(b, due)
	w.step(b, due.Add(25*time.Hour))
	w.merge(s.ID, `{"exclude_calendars": ["closed"], "on_excluded": "next_allowed"}`)
	w.step(b, due.Add(25*time.Hour+2*time.Second))
	w.step(b, due.Add(25*time.Hour+4*time.Second))
	if err := w.expect(s.ID, due.UTC().Format(time.RFC3339)+" due"); err != nil {
		t.Error(err)
	}
}

// TestCalendarThatNobodyUsedMeanwhile changes a calendar while no schedule in memory uses it. The next schedule that
// uses it goes by the new version.
func TestCalendarThatNobodyUsedMeanwhile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due := w.now.Truncate(time.Minute).Add(10 * time.Minute)
	w.calendar("closed", calendar.Item{From: due.UTC().Format("2006-01-02")})
	daily := func(name string) domain.Schedule {
		return w.create(fmt.Sprintf(`{"name": %q, "task_name": "t", "cron_expression": "%d %d * * *", "timezone": "UTC",
			"exclude_calendars": ["closed"], "on_excluded": "next_allowed"}`, name, due.UTC().Minute(), due.UTC().Hour()))
	}
	first := daily("first")
	b := w.beat("a")
	if err := w.store.Delete(t.Context(), first.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.step(b, w.now.Add(2*time.Second))
	w.calendar("closed")
	for range 4 { // until polls do not find it any more
		w.step(b, w.now.Add(4*time.Second))
	}
	second := daily("second")
	w.step(b, w.now.Add(2*time.Second))
	w.step(b, due)
	if err := w.expect(second.ID, due.UTC().Format(time.RFC3339)+" due"); err != nil {
		t.Error(err)
	}
}

// TestLoadReadsCalendarsOneByOne loads schedules with many calendars. A schedule without any fires in the first step,
// each step reads one calendar, and the watermark stays until all are known.
func TestLoadReadsCalendarsOneByOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 12
	var used []domain.Schedule
	for i := range n {
		name, on := fmt.Sprint("calendar-", i), []string{"skip", "next_allowed"}[i%2]
		w.calendar(name, calendar.Item{From: "2000-01-01"})
		used = append(used, w.create(fmt.Sprintf(`{"name": %q, "task_name": "t", "interval_seconds": 60, "interval_anchor": "2026-01-01T00:00:00Z",
			"exclude_calendars": [%q], "on_excluded": %q}`, name, name, on)))
	}
	plain := w.create(minutely(``))
	first := w.beat("first")
	w.endBeat(first, "stop")
	before := w.count(`select extract(epoch from watermark)::bigint from tactus.leases where name = 'beat'`)
	b, err := New(w.pool, nil, Config{Name: "second", Log: first.log})
	if err != nil {
		t.Fatal(err)
	}
	b.clock.trusting = true
	at := at{plain}.due(1)
	w.setClock(at)
	if err := b.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	lacking := func() (n int) {
		for _, c := range b.memory.CalendarsInUse() {
			if c.Version == 0 {
				n++
			}
		}
		return n
	}
	if l := lacking(); l != n {
		t.Errorf("the load lacks %d calendars of %d", l, n)
	}
	for steps, last := 0, n; last > 0; steps++ {
		if _, err := b.step(t.Context(), at.UnixMicro()); err != nil {
			t.Fatal(err)
		}
		left := lacking()
		if last-left > 3 { // a step looks up to three times
			t.Errorf("a step read %d calendars", last-left)
		}
		if runs := w.runs(plain.ID); len(runs) != 1 {
			t.Errorf("with %d calendars to read, what has none has the runs %v", left, runs)
		}
		if held := b.watermark(at.UnixMicro()); left > 0 && held/1e6 > int64(before) {
			t.Errorf("with %d calendars to read, the watermark has moved on from %d to %d", left, before, held/1e6)
		}
		if last = left; steps > n {
			t.Fatalf("after %d steps, %d are lacking", steps, left)
		}
	}
	w.step(b, at.Add(2*time.Second))
	w.step(b, at.Add(2*time.Second))
	for _, s := range used {
		if runs := w.runs(s.ID); len(runs) != 1 {
			t.Errorf("%s has the runs %v", s.Name, runs)
		}
	}
	if held := b.watermark(at.UnixMicro()); held/1e6 <= int64(before) {
		t.Errorf("all are read, and the watermark is %d", held/1e6)
	}
}

// TestCalendarThatIsGone deletes by hand a calendar that a schedule uses. This schedule becomes invalid, with the
// reason, all others fire, and the watermark moves on.
func TestCalendarThatIsGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.calendar("gone", calendar.Item{From: "2000-01-01"})
	s := w.create(`{"name": "lost", "interval_seconds": 60, "task_name": "t", "exclude_calendars": ["gone"]}`)
	plain := w.create(minutely(``))
	w.execute(`update tactus.calendars set deleted_at = now() where name = 'gone'`)
	b := w.beat("a")
	for n := 1; n <= 3; n++ {
		w.step(b, at{plain}.due(n))
	}
	if kept, err := w.store.Get(t.Context(), s.ID); err != nil || kept.State() != domain.Unfit || !strings.Contains(kept.InvalidReason, "no calendar gone") {
		t.Errorf("it is %s: %q, %v", kept.State(), kept.InvalidReason, err)
	}
	if err := w.expect(plain.ID, at{plain}.run(1), at{plain}.run(2), at{plain}.run(3)); err != nil {
		t.Error(err)
	}
	last := at{plain}.due(3).UnixMicro()
	if held := b.watermark(last); held < last {
		t.Errorf("the watermark is %s", time.UnixMicro(held))
	}
}

// TestCalendarThatGoesUnderABeat deletes a calendar by hand, without an event, while a beat runs. After the next poll,
// before any of them is due, the schedules that use it are invalid, with the reason; all others go on. When the
// calendar and the schedules are put again, they fire again.
func TestCalendarThatGoesUnderABeat(t *testing.T) {
	t.Parallel()
	for _, how := range []string{`delete from tactus.calendars where name = 'gone'`, `update tactus.calendars set deleted_at = now() where name = 'gone'`} {
		w := newWorld(t)
		w.calendar("gone", calendar.Item{From: "2000-01-01"})
		w.calendar("kept", calendar.Item{From: "2000-01-01"})
		s := w.create(`{"name": "lost", "interval_seconds": 60, "task_name": "t", "exclude_calendars": ["kept", "gone"]}`)
		other := w.create(`{"name": "other", "interval_seconds": 60, "task_name": "t", "exclude_calendars": ["kept"]}`)
		b := w.beat("a")
		w.step(b, at{other}.due(1))
		w.execute(how)
		w.step(b, w.now.Add(b.cfg.Poll))
		w.step(b, w.now.Add(b.cfg.Poll))
		if kept, err := w.store.Get(t.Context(), s.ID); err != nil || !strings.Contains(kept.InvalidReason, "no calendar gone") {
			t.Errorf("%s: it is %s: %q, %v", how, kept.State(), kept.InvalidReason, err)
		}
		w.step(b, at{other}.due(2))
		if err := w.expect(other.ID, at{other}.run(1), at{other}.run(2)); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if err := w.expect(s.ID, at{s}.run(1)); err != nil {
			t.Errorf("%s: %v", how, err)
		}
		if strings.HasPrefix(how, "delete") {
			w.calendar("gone", calendar.Item{From: "2000-01-01"})
			s = w.merge(s.ID, `{"description": "put again"}`)
			w.step(b, w.now.Add(b.cfg.Poll))
			due := at{s}.due(1)
			if !due.After(w.now) {
				due = at{s}.due(2)
			}
			w.step(b, due)
			if n := w.count(`select count(*) from tactus.runs where schedule_id = $1 and due_at = $2 and status = 'due'`, s.ID, due); n != 1 {
				t.Errorf("put again, it has the runs %v", w.runs(s.ID))
			}
		}
	}
}
