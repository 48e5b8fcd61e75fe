package catalog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Line is a schedule on the board, as one line shows it. Members of the definition that may be long are not read.
type Line struct {
	ID            domain.ID
	Version       int64
	Name          string
	Enabled       bool
	InvalidReason string
	ManagedBy     string
	Category      string
	Tags          []string
	Task          string
	Trigger       domain.Trigger
	Anchor        time.Time
	Halt          domain.Halt
	Next          *time.Time // nil if nothing is due any more
	Last          []Brief    // its newest runs, newest first
}

// State returns the state of the schedule, as domain.Schedule.State does.
func (l Line) State() string { return l.Halt.State(l.InvalidReason, l.Enabled) }

// Brief has the columns of a run that a sparkline shows.
type Brief struct {
	ID         domain.ID
	DueAt      time.Time
	Status     domain.RunStatus
	FiredAt    time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time
	Error      string // its last characters, because a traceback ends with the message
	Kind       domain.RunKind
	Reason     string
	Worker     string
}

// Took returns how long the run took, or false if that is not known.
func (b Brief) Took() (time.Duration, bool) {
	if b.StartedAt == nil || b.FinishedAt == nil || backwards(b.StartedAt, b.FinishedAt) {
		return 0, false
	}
	return max(0, b.FinishedAt.Sub(*b.StartedAt)), true
}

// Order is the order of a board.
type Order string

// The orders of a board. ByNext sorts by the next due time; it is only for boards of at most MaxSorted schedules.
const (
	ByNewest Order = ""
	ByName   Order = "name"
	ByNext   Order = "next"
)

// MaxSorted is the most schedules that are sorted by their next due times. No index has these, so each is computed.
const MaxSorted = 2_000

// sparkRuns is the number of runs in a line.
const sparkRuns = 30

// Board is a page of lines.
type Board struct {
	Lines []Line
	Total int64 // counted up to Filter.Most
	Order Order // the order used: ByName instead of ByNext if there are too many schedules
}

// Board returns a page of the chosen schedules with their newest runs, by a bounded number of statements.
func (c *Catalog) Board(ctx context.Context, f Filter, order Order, now time.Time) (board Board, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		board, err = f.board(ctx, tx, order, now)
		if err != nil {
			return fmt.Errorf("read board: %w", err)
		}
		return nil
	})
	return board, err
}

// BoardPart returns a part of a board by token, for filters that examine schedules one by one (queue, last status). If
// few of many schedules match, a part may have few lines or none; next still says where to continue. ByNext falls back
// to ByName if there are too many schedules. It ignores Filter.Limit and Offset, and counts nothing.
func (c *Catalog) BoardPart(
	ctx context.Context, f Filter, order Order, p Page, now time.Time,
) (board Board, next string, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		var page []string
		page, next, err = f.part(ctx, tx, order, p)
		if order == ByNext && isTooMany(err) {
			order = ByName
			page, next, err = f.part(ctx, tx, order, p)
		}
		if err != nil {
			return fmt.Errorf("read board: %w", err)
		}
		lines, err := readLines(ctx, tx, page, now)
		if err != nil {
			return fmt.Errorf("read board: %w", err)
		}
		board = Board{lines, int64(len(lines)), order}
		return addRuns(ctx, tx, lines)
	})
	return board, next, err
}

func isTooMany(err error) bool {
	faults := domain.FaultsOf(err)
	return len(faults) == 1 && faults[0].Code == tooManyToSort
}

// Looks reports whether the filter has to examine schedules one by one.
func (f Filter) Looks() bool { return f.looks() }

func (f Filter) board(ctx context.Context, tx pgx.Tx, order Order, now time.Time) (Board, error) {
	if order == ByNext {
		all := f
		all.Limit, all.Offset = MaxSorted, 0
		page, total, err := all.find(ctx, tx)
		if err != nil {
			return Board{}, err
		}
		if total <= MaxSorted {
			return f.byNext(ctx, tx, page, total, now)
		}
		order = ByName
	}
	page, total, err := f.findIn(ctx, tx, order)
	if err != nil {
		return Board{}, err
	}
	lines, err := readLines(ctx, tx, page, now)
	if err != nil {
		return Board{}, err
	}
	return Board{lines, total, order}, addRuns(ctx, tx, lines)
}

// byNext reads all chosen schedules, of which there are few, and keeps the page.
func (f Filter) byNext(ctx context.Context, tx pgx.Tx, page []string, total int64, now time.Time) (Board, error) {
	lines, err := readLines(ctx, tx, page, now)
	if err != nil {
		return Board{}, err
	}
	slices.SortStableFunc(lines, sooner)
	from := min(f.Offset, len(lines))
	lines = lines[from:min(from+f.Limit, len(lines))]
	return Board{lines, total, ByNext}, addRuns(ctx, tx, lines)
}

// sooner sorts schedules that are never due to the end.
func sooner(a, b Line) int {
	switch {
	case a.Next == nil && b.Next == nil:
		return strings.Compare(a.Name, b.Name)
	case a.Next == nil:
		return 1
	case b.Next == nil:
		return -1
	}
	return a.Next.Compare(*b.Next)
}

var pageByName = `
select s.id::text from tactus.schedules s where s.deleted_at is null` + chosen + `
order by s.name limit @limit::bigint offset @offset::bigint`

func (f Filter) findIn(ctx context.Context, tx pgx.Tx, order Order) (page []string, total int64, err error) {
	if order != ByName {
		return f.find(ctx, tx)
	}
	if err := tx.QueryRow(ctx, countSchedules, pgx.QueryExecModeExec, f.args(ctx)).Scan(&total); err != nil {
		return nil, 0, err
	}
	rows, err := tx.Query(ctx, pageByName, pgx.QueryExecModeExec, f.args(ctx))
	if err != nil {
		return nil, 0, err
	}
	page, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return page, min(total, f.most(ctx)), err
}

// Most returns up to which number the chosen schedules are counted.
func (f Filter) Most(ctx context.Context) int64 { return f.most(ctx) }

type lineRow struct {
	ID            domain.ID
	Version       int64
	Name          string
	Enabled       bool
	InvalidReason string
	ManagedBy     string
	Category      string
	Tags          []string
	Task          *string
	Trigger       string
	Anchor        *time.Time
	Policy        string
	EffectiveFrom time.Time
	Exhausted     bool
	sqlexpr.HaltRow
}

var boardLines = `
select s.id, s.version, s.name, s.enabled,
    coalesce(s.invalid_reason, case when (` + beyondYears + `) then '` + sqlexpr.NotInYears + `' end, ''), coalesce(s.managed_by, ''),
    s.category, ` + sqlexpr.ReadableTags + `, left(` + sqlexpr.TaskName + `, 200), s.trigger, ` + sqlexpr.InYears("s.anchor") + `, s.policy, ` + sqlexpr.InYears("s.effective_from") + `,
    not (` + hasRunsLeft + `), ` + sqlexpr.Halt("s.") + `
from unnest($1::uuid[]) with ordinality as page (id, place)
join tactus.schedules s on s.id = page.id
left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
where s.deleted_at is null`

func readLines(ctx context.Context, tx pgx.Tx, page []string, now time.Time) ([]Line, error) {
	rows, err := tx.Query(ctx, boardLines, pgx.QueryExecModeExec, page)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lineRow])
	if err != nil {
		return nil, err
	}
	place := make(map[string]int, len(page))
	for i, id := range page {
		place[id] = i
	}
	slices.SortFunc(found, func(a, b lineRow) int { return place[a.ID.String()] - place[b.ID.String()] })
	lines := make([]Line, len(found))
	known := newCompiled(tx)
	for i, row := range found {
		if lines[i], err = row.line(ctx, known, now); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

func (r lineRow) line(ctx context.Context, known compiled, now time.Time) (Line, error) {
	l := Line{
		ID: r.ID, Version: r.Version, Name: r.Name, Enabled: r.Enabled, InvalidReason: r.InvalidReason,
		ManagedBy: r.ManagedBy, Category: r.Category, Tags: r.Tags,
		Halt: r.Halt(),
	}
	if r.Task != nil {
		l.Task = *r.Task
	}
	if r.Anchor != nil {
		l.Anchor = r.Anchor.UTC()
	}
	trigger, err := domain.ParseTrigger(r.Trigger)
	if err != nil {
		return l, nil // somebody changed this row by hand; the others are shown all the same
	}
	l.Trigger = trigger
	if !r.Enabled || r.InvalidReason != "" || r.Exhausted {
		return l, nil
	}
	due, ok, err := known.of(ctx, aheadRow{r.ID, r.Trigger, r.Policy, r.Anchor, latestOf(r.EffectiveFrom, l.Halt.SkipUntil)})
	if err != nil || !ok {
		return l, err
	}
	if next, ok := due.next(now); ok {
		l.Next = &next
	}
	return l, nil
}

func latestOf(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// newestRuns reads the newest runs of each schedule through the index of due times.
var newestRuns = `
select page.id, r.id, ` + sqlexpr.InYears("r.due_at") + `, r.status, ` + sqlexpr.InYears("r.fired_at") + `, ` + sqlexpr.InYears("r.started_at") + `, ` + sqlexpr.InYears("r.finished_at") + `,
    coalesce(right(r.error, 200), ''), r.kind, coalesce(left(r.reason, 200), ''), coalesce(left(r.worker, 200), '')
from unnest($1::uuid[]) as page (id)
cross join lateral (
    select id, due_at, status, fired_at, started_at, finished_at, error, kind, reason, worker from tactus.runs
    where schedule_id = page.id order by due_at desc limit $2::bigint
) r`

type briefRow struct {
	Schedule domain.ID
	Brief
}

func addRuns(ctx context.Context, tx pgx.Tx, lines []Line) error {
	ids, of := make([]string, len(lines)), make(map[domain.ID]int, len(lines))
	for i, l := range lines {
		ids[i], of[l.ID] = l.ID.String(), i
	}
	found, err := readBriefs(ctx, tx, ids, sparkRuns)
	if err != nil {
		return err
	}
	for _, r := range found {
		line := &lines[of[r.Schedule]]
		line.Last = append(line.Last, r.Brief)
	}
	return nil
}

// readBriefs reads the newest runs of schedules, each schedule's newest first.
func readBriefs(ctx context.Context, tx pgx.Tx, schedules []string, limit int) ([]briefRow, error) {
	rows, err := tx.Query(ctx, newestRuns, pgx.QueryExecModeExec, schedules, limit)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r briefRow, err error) {
		err = row.Scan(&r.Schedule, &r.ID, &r.DueAt, &r.Status, &r.FiredAt, &r.StartedAt, &r.FinishedAt, &r.Error,
			&r.Kind, &r.Reason, &r.Worker)
		return r, err
	})
	slices.SortStableFunc(found, func(a, b briefRow) int { return b.DueAt.Compare(a.DueAt) })
	return found, err
}

// Newest returns the newest runs of a schedule, newest first, without their results.
func (c *Catalog) Newest(ctx context.Context, schedule domain.ID, limit int) (runs []Brief, err error) {
	if err := c.mayRead(ctx, schedule, domain.ErrNotFound); err != nil {
		return nil, err
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		found, err := readBriefs(ctx, tx, []string{schedule.String()}, limit)
		for _, r := range found {
			runs = append(runs, r.Brief)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read newest runs: %w", err)
	}
	return runs, nil
}

// LatestRuns returns the newest run of each of some schedules that the caller may read.
func (c *Catalog) LatestRuns(ctx context.Context, schedules []domain.ID) (map[domain.ID]Brief, error) {
	ids, latest := make([]string, len(schedules)), make(map[domain.ID]Brief, len(schedules))
	for i, id := range schedules {
		ids[i] = id.String()
	}
	err := c.read(ctx, func(tx pgx.Tx) error {
		found, err := readBriefs(ctx, tx, ids, 1)
		for _, r := range found {
			latest[r.Schedule] = r.Brief
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read latest runs: %w", err)
	}
	return latest, nil
}
