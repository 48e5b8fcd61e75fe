package beat

import (
	"crypto/md5"
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// calendar makes a calendar what is given.
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

// TestExcludedIsRecorded keeps a schedule from firing for two minutes, and records that.
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
	// What nobody settled in time is one range, between what fires.
	w.calendar("closed", window(s, 5, 8))
	w.step(b, at{s}.due(4).Add(2*time.Second))
	w.step(b, at{s}.due(8))
	if err := w.expect(s.ID, at{s}.run(1), excluded(s, 2, 2, ": maintenance"), excluded(s, 3, 3, ": maintenance"), at{s}.run(4),
		excluded(s, 5, 7, ": maintenance"), at{s}.run(8)); err != nil {
		t.Error(err)
	}
}

// TestCalendarMovesDueTimes changes a calendar while beats run that hear of it, that have not heard of it when something
// is due, and that begin after it.
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

// TestCalendarOfANewSchedule has a schedule name a calendar that the beat has never heard of.
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

// TestCalendarIsOver comes to the end of the days on which a schedule may fire: it is not completed, and fires when the
// calendar gets more days.
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

// TestCalendarKeepsTheCount has runs that are excluded not count for max_runs.
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

// TestHearsOfCalendars tells a beat by its feed that a calendar has changed: it need not poll.
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
