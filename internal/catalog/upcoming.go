package catalog

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Upcoming is what is due between two times, across all schedules.
type Upcoming struct {
	From     time.Time     `json:"from"`
	To       time.Time     `json:"to"`
	Upcoming []UpcomingDue `json:"upcoming" doc:"Soonest first."`
	Cut      bool          `json:"cut" doc:"There are more due times than these, which are the soonest."`
	Unread   bool          `json:"unread" doc:"There are more schedules than are looked at, which are the first by id."`
}

// UpcomingDue is one due time of a schedule.
type UpcomingDue struct {
	DueAt        time.Time `json:"due_at" doc:"In the schedule's zone."`
	FiresAt      time.Time `json:"fires_at,omitzero" doc:"When it fires, if jitter_seconds or spread_seconds delay it."`
	ScheduleID   domain.ID `json:"schedule_id"`
	ScheduleName string    `json:"schedule_name"`
	TaskName     string    `json:"task_name"`
	Mark         string    `json:"mark,omitempty" enum:"moved,repeated" doc:"What a change of the clocks does to it."`
	Wall         string    `json:"wall,omitempty" doc:"The local time that the clocks skip, when it is moved."`
	Copy         int       `json:"copy,omitempty" doc:"Which of the two showings it is, when it is repeated."`
}

// mostUpcoming is how many schedules are read.
const mostUpcoming = 200_000

var schedulesAhead = `
select s.id, s.trigger, s.policy, ` + sqlexpr.InYears("s.anchor") + `,
    greatest(` + sqlexpr.InYears("s.effective_from") + `, ` + sqlexpr.InYears("s.skip_until") + `)
from tactus.schedules s
left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
where s.enabled and s.deleted_at is null and s.invalid_reason is null
    and ` + hasRunsLeft + `
    and (cardinality(@tags::text[]) = 0 or s.tags @> @tags::text[]) and ` + sqlexpr.InScope + `
order by s.id limit @most::bigint`

// dueOf is a due time of a schedule, in the search for the soonest ones.
type dueOf struct {
	at       time.Time
	schedule domain.ID
	of       timetable
}

// compare orders due times, and those of one instant by schedule, so that it does not matter in which order they come.
func (d dueOf) compare(at time.Time, schedule domain.ID) int {
	return cmp.Or(d.at.Compare(at), bytes.Compare(d.schedule[:], schedule[:]))
}

// soonest is a heap of the soonest due times, whose latest is on top.
type soonest []dueOf

func (s soonest) Len() int           { return len(s) }
func (s soonest) Less(i, j int) bool { return s[i].compare(s[j].at, s[j].schedule) > 0 }
func (s soonest) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }
func (s *soonest) Push(x any)        { *s = append(*s, x.(dueOf)) }
func (s *soonest) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	*s = (*s)[:last]
	return x
}

// takes reports whether a due time is among the soonest.
func (s soonest) takes(at time.Time, schedule domain.ID, most int) bool {
	return len(s) < most || s[0].compare(at, schedule) > 0
}

// add adds a due time, and drops the latest one if there are more than most. It reports whether the added one stays.
func (s *soonest) add(due dueOf, most int) bool {
	if !s.takes(due.at, due.schedule, most) {
		return false
	}
	heap.Push(s, due)
	if len(*s) > most {
		heap.Pop(s)
	}
	return true
}

// addAll adds the due times of a schedule in [from, to), until one of them is too late to stay.
func (s *soonest) addAll(schedule domain.ID, a timetable, from, to time.Time, most int) {
	at := from.Add(-time.Microsecond)
	for {
		var ok bool
		if at, ok = a.next(at); !ok || !at.Before(to) || !s.add(dueOf{at, schedule, a}, most) {
			return
		}
	}
}

// Upcoming returns the soonest due times in [from, to) of the enabled schedules that have all tags, at most most of
// them. It holds no more due times in memory than it returns.
func (c *Catalog) Upcoming(ctx context.Context, tags []string, from, to time.Time, most int) (u Upcoming, err error) {
	if err := CheckTags(tags...); err != nil {
		return u, err
	}
	u = Upcoming{From: from.UTC(), To: to.UTC(), Upcoming: []UpcomingDue{}}
	done, err := c.foresee(ctx, &u, ask(ctx, tags, from, to, most))
	if done || err != nil && !postgres.LockTimedOut(err) {
		return u, err
	}
	return u, c.walk(ctx, &u, tags, most)
}

// walk computes the answer by reading every schedule once.
func (c *Catalog) walk(ctx context.Context, u *Upcoming, tags []string, most int) error {
	return c.read(ctx, func(tx pgx.Tx) error {
		found, err := u.find(ctx, tx, tags, most)
		if err != nil {
			return fmt.Errorf("read what is due: %w", err)
		}
		names, err := readNames(ctx, tx, found)
		if err != nil {
			return err
		}
		u.tell(u.cut(found, most), names)
		return nil
	})
}

// tries is how often the search is repeated because a schedule has changed between two statements.
const tries = 3

// foresee computes the answer from the outlook. It returns false if the outlook cannot answer.
func (c *Catalog) foresee(ctx context.Context, u *Upcoming, a asked) (done bool, err error) {
	err = pgx.BeginTxFunc(ctx, c.pool, pgx.TxOptions{BeginQuery: beginEach}, func(tx pgx.Tx) error {
		for range tries {
			found, versions, err := c.outlook.find(ctx, tx, a)
			if err != nil {
				return fmt.Errorf("read what is due: %w", err)
			}
			if versions == nil {
				return nil
			}
			names, err := readNames(ctx, tx, found)
			if err != nil {
				return err
			}
			if done = a.holds(versions, names); done {
				u.tell(u.cut(found, a.most), names)
				return nil
			}
		}
		return nil
	})
	return done, err
}

func (u *Upcoming) find(ctx context.Context, tx pgx.Tx, tags []string, most int) (found soonest, err error) {
	rows, err := tx.Query(ctx, schedulesAhead, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{
		"tags": append([]string{}, tags...), "most": mostUpcoming + 1,
	}))
	if err != nil {
		return nil, err
	}
	known := newCompiled(tx)
	var row aheadRow
	var byCalendar []aheadRow // calendars are read after all rows
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&row.ID, &row.Trigger, &row.Policy, &row.Anchor, &row.Effective}, func() error {
		if n++; n > mostUpcoming {
			u.Unread = true
			return nil
		}
		switch a, ok := known.plain(row); {
		case !ok:
		case a.policy.Calendars != nil:
			byCalendar = append(byCalendar, row)
		default:
			found.addAll(row.ID, a, u.From, u.To, most+1) // one more shows that there are more
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, row := range byCalendar {
		if err := ctx.Err(); err != nil { // most rows need no more of the database, which would tell that the client is gone
			return nil, err
		}
		a, ok, err := known.of(ctx, row)
		if err != nil {
			return nil, err
		}
		if ok {
			found.addAll(row.ID, a, u.From, u.To, most+1)
		}
	}
	return found, nil
}

// cut sorts the due times that were found, and drops the one beyond the number asked for.
func (u *Upcoming) cut(found soonest, most int) soonest {
	slices.SortFunc(found, func(a, b dueOf) int { return a.compare(b.at, b.schedule) })
	if u.Cut = len(found) > most; u.Cut {
		found = found[:most]
	}
	return found
}

var namesAhead = `
select s.id, s.version, s.name, coalesce(left(` + sqlexpr.TaskName + `, 200), ''),
    s.enabled and s.deleted_at is null and s.invalid_reason is null and ` + hasRunsLeft + `
from tactus.schedules s
left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
where s.id = any ($1::text[]::uuid[])`

// nameRow describes a schedule that is due.
type nameRow struct {
	ID         domain.ID
	Version    int64
	Name, Task string
	HasLeft    bool // due times to come
}

func readNames(ctx context.Context, tx pgx.Tx, found soonest) (map[domain.ID]nameRow, error) {
	names := map[domain.ID]nameRow{}
	for _, due := range found {
		names[due.schedule] = nameRow{}
	}
	rows, err := postgres.Collect(ctx, tx, pgx.RowToStructByPos[nameRow], namesAhead,
		pgx.QueryExecModeExec, texts(slices.Collect(maps.Keys(names))))
	if err != nil {
		return nil, fmt.Errorf("read what is due: %w", err)
	}
	for _, row := range rows {
		names[row.ID] = row
	}
	return names, nil
}

// tell adds the due times that were found to the answer, with their schedules and the effects of changes of clocks.
func (u *Upcoming) tell(found soonest, names map[domain.ID]nameRow) {
	for _, due := range found {
		who := names[due.schedule]
		d := UpcomingDue{DueAt: due.at, ScheduleID: due.schedule, ScheduleName: who.Name, TaskName: who.Task}
		if rule, ok := due.of.base.(cron.Schedule); ok {
			for _, entry := range cron.Preview(rule, due.at.Add(-time.Microsecond), 1) {
				if entry.IsDue() && entry.At.Equal(due.at) {
					d.DueAt, d.Mark, d.Wall, d.Copy = entry.At, entry.Mark, entry.Wall, entry.Copy
				}
			}
		}
		if fires := due.of.fires(due.schedule, due.at); !fires.Equal(due.at) {
			d.FiresAt = fires.In(d.DueAt.Location())
		}
		if _, offset := d.DueAt.Zone(); offset%60 != 0 { // RFC 3339 cannot express it
			d.DueAt, d.FiresAt = d.DueAt.UTC(), d.FiresAt.UTC()
		}
		u.Upcoming = append(u.Upcoming, d)
	}
}

func texts(ids []domain.ID) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = id.String()
	}
	return all
}
