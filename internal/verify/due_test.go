package verify_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
)

// life is the history of one schedule, to be written into a world.
type life struct {
	t      *testing.T
	w      *world
	states []domain.Schedule
	at     []time.Time
}

// born begins a life at a given time.
func born(t *testing.T, w *world, at time.Time, d domain.Definition) *life {
	t.Helper()
	l := &life{t: t, w: w}
	id := outbox.NewID()
	normal, _, err := d.Normalize(domain.Context{ID: id, Now: at})
	if err != nil {
		t.Fatal(err)
	}
	l.change(at, domain.Create(id, normal))
	return l
}

func (l *life) now() domain.Schedule { return l.states[len(l.states)-1] }

func (l *life) change(at time.Time, c domain.Change) {
	l.t.Helper()
	s := c.Dated(at)
	data, err := json.Marshal(s)
	if err != nil {
		l.t.Fatal(err)
	}
	l.states, l.at = append(l.states, s), append(l.at, at)
	l.w.sql(l.t, `insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at) values ('schedule', $1, $2, $3, $4, $5)`,
		s.ID.String(), s.Version, string(c.Type), string(data), at)
}

func (l *life) patch(at time.Time, patch string) {
	l.t.Helper()
	s := l.now()
	merged, err := s.Merge([]byte(patch))
	if err != nil {
		l.t.Fatal(err)
	}
	normal, _, err := merged.Normalize(domain.Context{ID: s.ID, Now: at, Previous: &s.Definition})
	if err != nil {
		l.t.Fatal(err)
	}
	if c, changed := s.Redefine(normal); changed {
		l.change(at, c)
	}
}

func (l *life) enable(at time.Time, enabled bool) {
	l.t.Helper()
	if c, changed := l.now().SetEnabled(enabled); changed {
		l.change(at, c)
	}
}

// lived writes the schedule's row as the life has left it.
func (l *life) lived() {
	l.t.Helper()
	s := l.now()
	p, err := outbox.Project(s)
	if err != nil {
		l.t.Fatal(err)
	}
	var deleted *time.Time
	if !s.DeletedAt.IsZero() {
		deleted = &s.DeletedAt
	}
	l.w.sql(l.t, `insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at,
		created_at, updated_at, deleted_at, category, tags, definition, task, paused_at) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		s.ID.String(), s.Name, s.Version, p.Enabled, p.Trigger, p.Anchor, p.Policy, s.EffectiveFrom, s.TriggerSetAt,
		s.CreatedAt, s.UpdatedAt, deleted, p.Category, p.Tags, p.Definition, p.Task, postgres.OrNull(s.PausedAt))
}

// fire fires as a beat that is never late would, up to a time, in a slow and simple way.
func (l *life) fire(until time.Time) (due []time.Time) {
	l.t.Helper()
	count := map[time.Time]int64{}   // by trigger_set_at
	fired := map[[2]time.Time]bool{} // by effective_from and due time
	var batch pgx.Batch
	for i, s := range l.states {
		end := until
		if i+1 < len(l.at) {
			end = l.at[i+1]
		}
		recurrence, err := s.Recurrence()
		if err != nil {
			l.t.Fatal(err)
		}
		for at, ok := s.Next(s.EffectiveFrom); ok && at.Before(end); at, ok = s.Next(at) {
			f := s.Policy().FireAt(s.ID, recurrence, at)
			once := [2]time.Time{s.EffectiveFrom, at}
			if fired[once] || !f.Before(end) || s.MaxRuns > 0 && count[s.TriggerSetAt] >= s.MaxRuns {
				continue // not yet due by jitter or spread; an edit of them may make it late, and then it fires at once
			}
			fired[once] = true
			count[s.TriggerSetAt]++
			due = append(due, at)
			id := outbox.NewID().String()
			batch.Queue(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version) values ($1, $2, $3, 'scheduled', 'due', $4)`, id, s.ID.String(), at, s.Version)
			batch.Queue(`insert into tactus.outbox (topic, aggregate_id, version, type, data) values ('run', $1, 1, 'run.due', '{}')`, id)
		}
	}
	if err := l.w.pool.SendBatch(l.t.Context(), &batch).Close(); err != nil {
		l.t.Fatal(err)
	}
	return due
}

// start is two hours ago, in whole minutes.
var start = time.Now().UTC().Truncate(time.Minute).Add(-2 * time.Hour)

func (w *world) checkDue(t *testing.T, late time.Duration) *verify.Report {
	t.Helper()
	w.publish(t)
	return w.check(t, verify.Config{Window: &verify.Window{From: start, To: start.Add(time.Hour), Late: late}})
}

func every(seconds float64) domain.Definition {
	return domain.Definition{Name: fmt.Sprint("every ", seconds), IntervalSeconds: seconds, TaskName: "app.task"}
}

// TestAnyHistoryIsUnderstood makes random histories and fires their due times the slow way: there is no problem, until
// one run is removed or one is added.
func TestAnyHistoryIsUnderstood(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	patches := []string{
		`{"description":"another"}`, `{"cron_expression":"*/7 * * * *"}`, `{"interval_seconds":75}`, `{"jitter_seconds":20}`,
		`{"spread_seconds":30}`, `{"spread_seconds":null}`, `{"jitter_seconds":null}`, `{"description":"yet another"}`, `{"misfire_policy":"none"}`, `{"timezone":"America/New_York","cron_expression":"0 * * * *"}`,
	}
	var want int64
	var lives []*life
	for n := range 40 {
		d := every(60)
		d.Name = fmt.Sprint("schedule ", n)
		d.MaxRuns = []int64{0, 0, 5}[n%3]
		l := born(t, w, start.Add(rand.N(time.Hour)/1000*1000), d)
		for at := l.at[0]; ; {
			if at = at.Add(rand.N(20*time.Minute) / 1000 * 1000); at.After(start.Add(time.Hour)) || !l.now().DeletedAt.IsZero() {
				break
			}
			switch rand.N(8) {
			case 0, 1:
				l.enable(at, !l.now().IsEnabled())
			case 2:
				l.change(at, l.now().Delete())
			default:
				l.patch(at, patches[rand.N(len(patches))])
			}
		}
		l.lived()
		for _, due := range l.fire(time.Now()) {
			if !due.After(start.Add(time.Hour)) {
				want++
			}
		}
		lives = append(lives, l)
	}
	report := w.checkDue(t, 0)
	if report.Found != 0 || report.DueTimes != want {
		t.Fatalf("%d due times of %d, %d problems: %+v", report.DueTimes, want, report.Found, report.Problems)
	}
	for range 10 {
		w.spoilRuns(t, lives[rand.N(len(lives))])
	}
}

// spoilRuns removes one run, and puts it back. A schedule with max_runs may have used them up even without that run.
func (w *world) spoilRuns(t *testing.T, l *life) {
	t.Helper()
	limited := slices.ContainsFunc(l.states, func(s domain.Schedule) bool { return s.MaxRuns > 0 })
	tag, err := w.pool.Exec(t.Context(), takeRun, l.now().ID.String(), start.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	report := w.checkDue(t, 0)
	if tag.RowsAffected() == 1 && !limited && !slices.Equal(kindsOf(report), []string{verify.DueMissing, verify.RunEventUnknown}) {
		t.Errorf("after a run was removed: %+v", report.Problems)
	}
	if _, err := w.pool.Exec(t.Context(), `update tactus.runs set kind = 'scheduled', slot = '00000000-0000-0000-0000-000000000000', status = 'due'`); err != nil {
		t.Fatal(err)
	}
}

// takeRun turns a run into a manual one with another due time, which leaves its due time without a run.
const takeRun = `
update tactus.runs set kind = 'manual', slot = id, status = 'missed' where (schedule_id, due_at) =
    (select schedule_id, due_at from tactus.runs where schedule_id = $1 and due_at < $2 order by random() limit 1)`

// TestDueTimesThatAreNotAsTheyShouldBe has a schedule that is due each minute for ten minutes, beginning at start.
func TestDueTimesThatAreNotAsTheyShouldBe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		max   int64
		end   time.Duration // when it was disabled
		spoil string
		late  time.Duration
		want  []string
	}{
		"as it should be":                             {end: 10*time.Minute + time.Second},
		"one is missing":                              {end: 10*time.Minute + time.Second, spoil: `delete from tactus.runs where due_at = $1::timestamptz + interval '3 min'`, want: []string{verify.DueMissing}},
		"three are missing":                           {end: 10*time.Minute + time.Second, spoil: `delete from tactus.runs where due_at between $1::timestamptz + interval '3 min' and $1::timestamptz + interval '5 min'`, want: []string{verify.DueMissing}},
		"the last is missing":                         {end: 10*time.Minute + time.Second, spoil: `delete from tactus.runs where due_at = $1::timestamptz + interval '10 min'`, want: []string{verify.DueMissing}},
		"an edit has overtaken the last":              {end: 10*time.Minute + time.Second, late: 10 * time.Second, spoil: `delete from tactus.runs where due_at = $1::timestamptz + interval '10 min'`},
		"an edit cannot overtake one before the last": {end: 10*time.Minute + time.Second, late: 2 * time.Minute, spoil: `delete from tactus.runs where due_at = $1::timestamptz + interval '9 min'`, want: []string{verify.DueMissing}},
		"an edit has overtaken the last two":          {end: 10*time.Minute + time.Second, late: 2 * time.Minute, spoil: `delete from tactus.runs where due_at >= $1::timestamptz + interval '9 min'`},
		"an edit cannot overtake three":               {end: 10*time.Minute + time.Second, late: 2 * time.Minute, spoil: `delete from tactus.runs where due_at >= $1::timestamptz + interval '8 min'`, want: []string{verify.DueMissing}},
		"a range is recorded as missed":               {end: 10*time.Minute + time.Second, spoil: `with gone as (delete from tactus.runs where due_at between $1::timestamptz + interval '4 min' and $1::timestamptz + interval '5 min') update tactus.runs set until = due_at + interval '2 min', status = 'missed' where due_at = $1::timestamptz + interval '3 min'`},
		"a range of a clock that was ahead":           {end: 10*time.Minute + time.Second, spoil: `with gone as (delete from tactus.runs where due_at between $1::timestamptz + interval '4 min' and $1::timestamptz + interval '5 min') update tactus.runs set until = due_at + interval '2 min', status = 'missed', fired_at = now() + interval '1 hour' where due_at = $1::timestamptz + interval '3 min'`, want: []string{verify.DueMissing}},
		"a range that ends off the due":               {end: 10*time.Minute + time.Second, spoil: `update tactus.runs set until = due_at + interval '30 s', status = 'missed' where due_at = $1::timestamptz + interval '3 min'`, want: []string{verify.RunNotDue}},
		"a run that was not due":                      {end: 10*time.Minute + time.Second, spoil: `update tactus.runs set due_at = due_at + interval '1 s' where due_at = $1::timestamptz + interval '3 min'`, want: []string{verify.DueMissing, verify.RunNotDue}},
		"a run of a disabled schedule":                {end: 10*time.Minute + time.Second, spoil: `update tactus.runs set schedule_version = 2 where due_at = $1::timestamptz + interval '3 min'`, want: []string{verify.RunNotDue}},
		"another beat was in charge at first":         {end: 10*time.Minute + time.Second, spoil: `with another as (insert into tactus.leases (name, holder, epoch, expires_at, watermark) values ('switch', '', 1, '-infinity', $1::timestamptz + interval '5 min')) delete from tactus.runs where due_at <= $1::timestamptz + interval '5 min'`},
		"one is missing after another beat":           {end: 10*time.Minute + time.Second, spoil: `with another as (insert into tactus.leases (name, holder, epoch, expires_at, watermark) values ('switch', '', 1, '-infinity', $1::timestamptz + interval '5 min')) delete from tactus.runs where due_at <= $1::timestamptz + interval '6 min'`, want: []string{verify.DueMissing}},
		"Postgres went back meanwhile":                {end: 10*time.Minute + time.Second, spoil: lostTail, want: []string{verify.LogWentBack}},
		"it has used up its runs":                     {max: 4, end: 10*time.Minute + time.Second},
		"one before it used up its runs":              {max: 4, end: 10*time.Minute + time.Second, spoil: `delete from tactus.runs where due_at = $1::timestamptz + interval '3 min'`, want: []string{verify.DueMissing}},
		"more than its runs":                          {max: 4, end: 10*time.Minute + time.Second, spoil: `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version) select gen_random_uuid(), schedule_id, due_at + interval '1 min', kind, status, 1 from tactus.runs where due_at = $1::timestamptz + interval '4 min'`, want: []string{verify.RunTooMany}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			d := every(60)
			d.MaxRuns, d.IntervalAnchor = c.max, start.Format(time.RFC3339)
			l := born(t, w, start, d)
			l.enable(start.Add(c.end), false)
			l.lived()
			l.fire(time.Now())
			if c.spoil != "" {
				w.sql(t, c.spoil, start)
			}
			w.sql(t, `delete from tactus.outbox where topic = 'run'`)
			w.sql(t, `insert into tactus.outbox (topic, aggregate_id, version, type, data) select 'run', id, 1, 'run.due', '{}' from tactus.runs where status <> 'missed'`)
			if report := w.checkDue(t, c.late); !slices.Equal(kindsOf(report), c.want) {
				t.Errorf("found %v, want %v: %+v", kindsOf(report), c.want, report)
			}
		})
	}
}

// lostTail has a database that was restored: its data end after the third minute, and it continues in the sixth.
const lostTail = `
with batch as (
    insert into tactus.relay_batches (sink, number, epoch, previous, snapshot, row_count) values ('celery', 7, 'e', '1:1:', '1:1:', 0)
),
epoch as (
    insert into tactus.relay_epochs (sink, epoch, number, reason, went_back, timeline, system_identifier, opened_at,
        after_batch, after_place, log_batch, log_place, known_until)
    values ('celery', 'e', 7, 'restored', true, '1', '1', $1::timestamptz + interval '6 min', 6, 0, 6, 0, $1::timestamptz + interval '150 s')
)
delete from tactus.runs where due_at between $1::timestamptz + interval '3 min' and $1::timestamptz + interval '5 min'`

func kindsOf(r *verify.Report) (kinds []string) {
	for _, p := range r.Problems {
		kinds = append(kinds, p.Kind)
	}
	return slices.Compact(kinds)
}
