package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
)

// RunSummary counts the chosen runs of some hours. In an hour with very many runs only the newest are counted; Cut then
// says that the counts are lower bounds.
type RunSummary struct {
	From  time.Time `json:"from"`
	To    time.Time `json:"to"`
	Hours []RunHour `json:"hours" doc:"Each hour of UTC, by due time, oldest first."`
	RunFigures
}

// RunHour tells what became of the runs that were due in an hour.
type RunHour struct {
	Hour time.Time `json:"hour" doc:"Its beginning."`
	RunFigures
}

// RunFigures are counts and times of some runs.
type RunFigures struct {
	Counts      map[domain.RunStatus]int64 `json:"counts" doc:"By state; those without a run are left out."`
	Total       int64                      `json:"total"`
	Cut         bool                       `json:"cut" doc:"There are more runs than were looked at: of each hour, the newest."`
	SuccessRate *float64                   `json:"success_rate" doc:"Of the runs whose end is known, the part that succeeded."`
	Runtime     Spread                     `json:"runtime_seconds" doc:"From start to end."`
	Lateness    Spread                     `json:"lateness_seconds" doc:"From due time to being handed over; backfills are not among it."`
}

// Spread is the distribution of times in seconds, null if there are none.
type Spread struct {
	P50 *float64 `json:"p50"`
	P95 *float64 `json:"p95"`
}

// MostHours is how many hours a summary may have.
const MostHours = 31 * 24

// mostSummed is the most runs that a summary reads, and mostSummedBySchedule the most if it reads their schedules as
// well.
const (
	mostSummed           = 100_000
	mostSummedBySchedule = 10_000
)

// summarySQL looks at the newest runs of each hour, of each source where there are some, and aggregates those that are
// chosen. Beside the figures it returns the hours of which not all runs were looked at.
func summarySQL(source, condition string) string {
	return `
with hours (hour) as (select generate_series(@from::timestamptz, @last::timestamptz, interval '1 hour')),
looked as materialized (
    select h.hour, l.* from hours h` + source + `, lateral (
        select r.schedule_id, r.status, (cardinality(@statuses::text[]) = 0 or r.status = any (@statuses))
                and (@kind::text = '' or r.kind = @kind) and (@worker::text = '' or r.worker = @worker)
                and (@error::text = '' or strpos(lower(r.error), lower(@error)) > 0) as fits,
            case when isfinite(r.started_at) and isfinite(r.finished_at) and r.finished_at >= r.started_at - interval '20 milliseconds'
                then greatest(extract(epoch from r.finished_at - r.started_at)::float8, 0) end as runtime,
            case when isfinite(r.sent_at) and kind <> 'backfill' then greatest(extract(epoch from r.sent_at - r.due_at), 0)::float8 end as lateness,
            row_number() over () as nth
        from (
            select schedule_id, status, kind, worker, error, due_at, sent_at, started_at, finished_at from tactus.runs r
            where r.due_at >= h.hour and r.due_at < h.hour + interval '1 hour'` + condition + `
            order by r.due_at desc, r.id desc limit @most::bigint
        ) r
    ) l
),
` + ofLookedAt + `,
chosen as materialized (
    select hour, status, runtime, lateness from looked
    where fits and (not @by_schedule or schedule_id in (select schedule_id from of))
)
select hour, status, count(*), false, percentile_cont(array[0.5, 0.95]) within group (order by runtime),
    percentile_cont(array[0.5, 0.95]) within group (order by lateness)
from chosen group by grouping sets ((hour, status), (hour), ())
union all
select distinct hour, null, 0, true, null::float8[], null::float8[] from looked where nth = @most`
}

var (
	summaryOfAll     = summarySQL("", "")
	summaryOfSources = summarySQL(`, unnest(@sources::text[]::uuid[]) source (schedule)`, ` and r.schedule_id = source.schedule`)
)

// mostScans is the most looks of a summary by sources: one for each source in each hour.
const mostScans = 1_000

// RunSummary counts the chosen runs that were due between the filter's DueFrom and DueTo, which must be there. It
// widens them to whole hours of UTC.
func (c *Catalog) RunSummary(ctx context.Context, f RunFilter) (s RunSummary, err error) {
	f.scope = access.From(ctx).Scope
	if !f.DueFrom.Before(earliestDue) && !f.DueTo.After(latestDue) {
		s.From = f.DueFrom.UTC().Truncate(time.Hour)
		s.To = f.DueTo.UTC().Add(time.Hour - 1).Truncate(time.Hour)
	}
	hours := int(s.To.Sub(s.From) / time.Hour)
	if hours < 1 || hours > MostHours {
		return s, &domain.Error{
			Kind: domain.Invalid, Code: "out_of_range", Field: "due_to",
			Message: fmt.Sprintf("want a time after due_from, at most %d hours", MostHours),
		}
	}
	s.Hours = make([]RunHour, hours)
	for i := range s.Hours {
		s.Hours[i] = RunHour{s.From.Add(time.Duration(i) * time.Hour), RunFigures{Counts: map[domain.RunStatus]int64{}}}
	}
	s.Counts = map[domain.RunStatus]int64{}
	err = c.read(ctx, func(tx pgx.Tx) error {
		if err := s.sum(ctx, tx, f); err != nil {
			return fmt.Errorf("sum up runs: %w", err)
		}
		return nil
	})
	return s, err
}

func (s *RunSummary) sum(ctx context.Context, tx pgx.Tx, f RunFilter) error {
	sources, err := f.sources(ctx, tx)
	if err != nil {
		return err
	}
	args, sql, looks, most := f.args(), summaryOfAll, len(s.Hours), mostSummed
	if f.bySchedule() {
		most = mostSummedBySchedule
	}
	if n := len(sources) * looks; n > 0 && n <= mostScans {
		sql, looks = summaryOfSources, n
	}
	args["from"], args["last"], args["sources"] = s.From, s.To.Add(-time.Hour), sources
	args["most"] = most/looks + 1
	rows, err := tx.Query(ctx, sql, pgx.QueryExecModeExec, args)
	if err != nil {
		return err
	}
	var hour *time.Time
	var status *domain.RunStatus
	var n int64
	var cut bool
	var runtime, lateness []*float64
	_, err = pgx.ForEachRow(rows, []any{&hour, &status, &n, &cut, &runtime, &lateness}, func() error {
		at := &s.RunFigures
		if hour != nil {
			at = &s.Hours[int(hour.Sub(s.From)/time.Hour)].RunFigures
		}
		switch {
		case cut:
			at.Cut, s.Cut = true, true
		case status != nil:
			at.Counts[*status] = n
			s.Counts[*status] += n
		default:
			at.Total, at.Runtime, at.Lateness = n, spreadOf(runtime), spreadOf(lateness)
		}
		return nil
	})
	s.SuccessRate = successRate(s.Counts)
	for i := range s.Hours {
		s.Hours[i].SuccessRate = successRate(s.Hours[i].Counts)
	}
	return err
}

func spreadOf(of []*float64) Spread {
	if len(of) != 2 {
		return Spread{}
	}
	return Spread{of[0], of[1]}
}

// successRate returns nil if no run is known to have ended.
func successRate(counts map[domain.RunStatus]int64) *float64 {
	ended := counts[domain.Succeeded] + counts[domain.Failed] + counts[domain.Revoked] + counts[domain.Expired]
	if ended == 0 {
		return nil
	}
	rate := float64(counts[domain.Succeeded]) / float64(ended)
	return &rate
}
