package catalog_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestReadsAgreeOnWhatIsDue asks the list, the agenda and Upcoming for the next due time of a schedule, and compares
// them with the answer about this schedule alone.
func TestReadsAgreeOnWhatIsDue(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	now := time.Now()
	day := func(n int) string { return now.UTC().AddDate(0, 0, n).Format(time.DateOnly) }
	if _, _, err := store.PutCalendar(t.Context(), domain.Calendar{
		Name: "closed", Days: []calendar.Item{{From: day(0), To: day(3)}},
	}, 0); err != nil {
		t.Fatal(err)
	}
	daily := domain.Definition{TaskName: "app.t", CronExpression: "0 12 * * *"}
	for name, c := range map[string]struct {
		change func(*domain.Definition)
		then   func(domain.Schedule) error
		never  bool
		from   string // the day before which nothing is due
	}{
		"plain":    {},
		"excluded": {change: func(d *domain.Definition) { d.ExcludeCalendars = []string{"closed"} }, from: day(4)},
		"shifted": {change: func(d *domain.Definition) {
			d.ExcludeCalendars, d.OnExcluded = []string{"closed"}, calendar.NextAllowed
		}, from: day(4)},
		"only": {change: func(d *domain.Definition) {
			d.CronExpression, d.OnlyCalendars = "0 0 * * *", []string{"closed"}
		}, from: day(1)},
		"skipped": {then: func(s domain.Schedule) error {
			_, err := store.Skip(t.Context(), s.ID, 0, 3, "ops", "")
			return err
		}, from: day(3)},
		"paused": {then: func(s domain.Schedule) error {
			_, err := store.SetEnabled(t.Context(), s.ID, 0, false)
			return err
		}, never: true},
		"completed": {change: func(d *domain.Definition) { d.MaxRuns = 2 }, then: func(s domain.Schedule) error {
			_, err := pool.Exec(t.Context(), `
				insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired) values ($1, $2, 2)
				on conflict (schedule_id) do update set fired = 2, trigger_set_at = excluded.trigger_set_at`, s.ID, s.TriggerSetAt)
			return err
		}, never: true},
	} {
		d := daily
		d.Name, d.Tags = name, []string{name}
		if c.change != nil {
			c.change(&d)
		}
		made, err := store.Create(t.Context(), d, "", nil)
		if err != nil {
			t.Fatal(name, err)
		}
		if c.then != nil {
			if err := c.then(made); err != nil {
				t.Fatal(name, err)
			}
		}
		want, got := nextInEachRead(t, catalog.New(pool), made, now)
		if c.never != want.IsZero() || !c.never && want.UTC().Format(time.DateOnly) < c.from {
			t.Errorf("%s: due at %s, want none before %s", name, want, c.from)
		}
		for read, at := range got {
			if !at.Equal(want) {
				t.Errorf("%s: the %s says %s, the schedule %s", name, read, at, want)
			}
		}
	}
}

// nextInEachRead returns the next due time of a schedule, whose name is its tag; the zero time where there is none.
func nextInEachRead(t *testing.T, c *catalog.Catalog, s domain.Schedule, now time.Time) (
	want time.Time, got map[string]time.Time,
) {
	t.Helper()
	got = map[string]time.Time{"list": {}, "agenda": {}, "upcoming": {}}
	entry, err := c.Get(t.Context(), s.ID)
	if err != nil {
		t.Fatal(err)
	}
	if entry.NextRunAt != nil {
		want = *entry.NextRunAt
	}
	board, err := c.Board(t.Context(), catalog.Filter{Tags: s.Tags, Limit: 1}, catalog.ByNext, now)
	if err != nil {
		t.Fatal(err)
	}
	if next := board.Lines[0].Next; next != nil {
		got["list"] = *next
	}
	plans, schedules, err := c.Plans(t.Context(), s.Tags)
	if err != nil {
		t.Fatal(err)
	}
	if schedules != int64(len(plans)) {
		t.Errorf("%s: %d plans of %d schedules", s.Name, len(plans), schedules)
	}
	for _, p := range plans {
		got["agenda"], _ = p.Next(now)
	}
	upcoming, err := c.Upcoming(t.Context(), s.Tags, now, now.AddDate(0, 0, 30), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, due := range upcoming.Upcoming {
		got["upcoming"] = due.DueAt
	}
	return want, got
}
