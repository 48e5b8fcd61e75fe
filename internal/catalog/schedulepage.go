package catalog

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// ByLast is the order of what ran last, newest first, for lists of at most MaxSorted schedules.
const ByLast Order = "last"

// SchedulePage is a part of a list of schedules. Like a RunPage it may have fewer than were asked for.
type SchedulePage struct {
	Schedules     []Entry
	NextPageToken string
}

// Choice is a schedule that was chosen for something.
type Choice struct {
	ID   domain.ID
	Name string
}

// Schedules returns a part of the list of the chosen schedules in an order. Filter.Limit and Offset have no meaning. A
// page has fewer schedules than were asked for when more would have more than maxPage together.
func (c *Catalog) Schedules(ctx context.Context, f Filter, order Order, p Page) (page SchedulePage, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		found, next, err := f.part(ctx, tx, order, p)
		if err != nil {
			return fmt.Errorf("list schedules: %w", err)
		}
		var fit int
		if err := tx.QueryRow(ctx, fitSQL, pgx.QueryExecModeExec, found, maxPage).Scan(&fit); err != nil {
			return fmt.Errorf("measure schedules: %w", err)
		}
		if fit < len(found) {
			if found, next, err = f.part(ctx, tx, order, Page{Size: max(fit, 1), Token: p.Token}); err != nil {
				return fmt.Errorf("list schedules: %w", err)
			}
		}
		page.NextPageToken = next
		page.Schedules, err = readEntries(ctx, tx, found)
		return err
	})
	return page, err
}

// fitSQL counts how many of some schedules, from the first one on, fit into an answer.
const fitSQL = `
select count(*) from (
    select sum(octet_length(s.definition::text)) over (order by w.nth) as bytes
    from unnest($1::text[]::uuid[]) with ordinality w (id, nth) join tactus.schedules s on s.id = w.id
) sizes where bytes <= $2::bigint`

// Choose returns a part of the list of the chosen schedules, newest first, with their names alone.
func (c *Catalog) Choose(ctx context.Context, f Filter, p Page) (chosen []Choice, next string, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		var ids []string
		if ids, next, err = f.part(ctx, tx, ByNewest, p); err != nil {
			return fmt.Errorf("choose schedules: %w", err)
		}
		rows, err := tx.Query(ctx, namesOf, pgx.QueryExecModeExec, ids)
		if err != nil {
			return fmt.Errorf("choose schedules: %w", err)
		}
		if chosen, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Choice]); err != nil {
			return fmt.Errorf("choose schedules: %w", err)
		}
		return nil
	})
	return chosen, next, err
}

const namesOf = `
select s.id, s.name from unnest($1::text[]::uuid[]) with ordinality w (id, nth) join tactus.schedules s on s.id = w.id
order by w.nth`

// Named returns the schedules of some ids that the caller may read, in their order.
func (c *Catalog) Named(ctx context.Context, ids []domain.ID) (named []Choice, err error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, livingOf, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{"ids": texts}))
		if err != nil {
			return err
		}
		named, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Choice])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read names of schedules: %w", err)
	}
	return named, nil
}

const livingOf = `
select s.id, s.name from unnest(@ids::text[]::uuid[]) with ordinality w (id, nth) join tactus.schedules s on s.id = w.id
where s.deleted_at is null and ` + sqlexpr.InScope + ` order by w.nth`

// readEntries reads schedules in the order of their ids.
func readEntries(ctx context.Context, tx pgx.Tx, ids []string) ([]Entry, error) {
	found, err := bounded(ctx, tx, func(r entryRow) int { return len(r.Definition) }, listSchedules, ids)
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	at := make(map[string]int, len(ids))
	for i, id := range ids {
		at[id] = i
	}
	slices.SortFunc(found, func(a, b entryRow) int { return at[a.ID.String()] - at[b.ID.String()] })
	entries := make([]Entry, 0, len(found))
	sets := &setsReader{tx: tx, sets: domain.CalendarSets{}}
	for _, row := range found {
		entry, err := row.entry(ctx, sets)
		if err != nil {
			return nil, fmt.Errorf("list schedules: %w", err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// mostLooked is how many schedules a page examines one by one, because the filter asks for a queue, a text, an owner or
// a last status.
const mostLooked = 1_000

// looks reports whether schedules have to be looked at one by one, beyond what their own columns say.
func (f Filter) looks() bool {
	return f.Queue != "" || f.LastStatus != "" || f.Text != "" || f.Owner == Nobody || strings.HasPrefix(f.Owner, ofTable)
}

// saysText is true of schedules one of whose texts has @text as a part.
const saysText = `(@text::text = '' or strpos(lower(concat_ws(chr(10), s.name, ` + sqlexpr.TaskName + `, s.category,
        array_to_string(s.tags, chr(10)), ` + sqlexpr.Description + `)), lower(@text)) > 0)`

// isOwned is true of schedules of the table @managed_by, or of nobody.
const isOwned = `(@managed_by::text = '' or s.managed_by = @managed_by) and (not @of_nobody::boolean or s.managed_by is null
        and not exists (select from unnest(s.tags) as tag where tag ^@ 'source:' or tag ^@ 'import:'))`

// partSQL finds a part of a list behind a key, in an order. If schedules have to be examined one by one, it examines at
// most mostLooked of them.
func partSQL(key, direction, behind string) string {
	return `
with looked as materialized (
    select s.id, s.name, s.created_at, s.task, s.definition, s.category, s.tags, s.managed_by,
        row_number() over () as nth from (
        select s.* from tactus.schedules s where s.deleted_at is null
            and (@pause_group::text = '' or s.pause_group = @pause_group) and ` + behind + chosen + `
        order by ` + key + ` ` + direction + `, s.id ` + direction + ` limit @look::bigint
    ) s
),
fits as materialized (
    select s.id, s.nth from looked s where (@queue::text = '' or ` + sqlexpr.TaskQueue + ` = @queue)
        and ` + saysText + ` and ` + isOwned + `
        and (@last_status::text = '' or (
            select status from (
                select r.status, r.due_at, r.waiting from tactus.runs r where r.schedule_id = s.id order by r.due_at desc limit 100
            ) r where status not in ('missed', 'skipped') and not waiting order by due_at desc limit 1) = @last_status)
    order by s.nth limit @limit::bigint
)
select array(select id::text from fits order by nth), (select count(*) from looked),
    ` + sqlexpr.InYears("l.created_at") + `, l.name, l.id::text
from (select) one left join looked l
    on l.nth = case when (select count(*) from fits) = @limit then (select max(nth) from fits) else (select max(nth) from looked) end`
}

var (
	partByNewest = partSQL("s.created_at", "desc", "(@id::uuid is null or (s.created_at, s.id) < (@created::timestamptz, @id))")
	partByName   = partSQL("s.name", "", "(@id::uuid is null or (s.name, s.id) > (@after::text, @id))")
)

// part returns the ids of a part of the list, and the token of the next one.
func (f Filter) part(ctx context.Context, tx pgx.Tx, order Order, p Page) (ids []string, next string, err error) {
	if err := f.check(); err != nil {
		return nil, "", err
	}
	if order == ByNext || order == ByLast {
		return f.sorted(ctx, tx, order, p)
	}
	args := f.args(ctx)
	args["queue"], args["last_status"], args["pause_group"] = f.Queue, string(f.LastStatus), f.PauseGroup
	args["text"], args["managed_by"], args["of_nobody"] = f.Text, "", f.Owner == Nobody
	if table, ok := strings.CutPrefix(f.Owner, ofTable); ok {
		args["managed_by"] = table
	}
	args["limit"], args["look"] = p.Size, p.Size
	if f.looks() {
		args["look"] = max(p.Size, mostLooked)
	}
	args["id"], args["created"], args["after"] = nil, nil, nil
	sql := partByNewest
	if order == ByName {
		sql = partByName
	}
	if p.Token != "" {
		id, rest, err := parseToken(p.Token, order)
		if err != nil {
			return nil, "", err
		}
		args["id"] = id
		if order == ByName {
			args["after"] = rest
		} else {
			micros, err := strconv.ParseInt(rest, 10, 64)
			at := time.UnixMicro(micros)
			if err != nil || at.Year() < 1 || at.Year() > 9999 {
				return nil, "", ErrPageToken
			}
			args["created"] = at
		}
	}
	var looked int
	var created *time.Time
	var name, id *string
	if _, err := tx.Exec(ctx, `set local enable_sort = on`); err != nil {
		return nil, "", err
	}
	if err := tx.QueryRow(ctx, sql, pgx.QueryExecModeExec, args).Scan(&ids, &looked, &created, &name, &id); err != nil {
		return nil, "", err
	}
	if _, err := tx.Exec(ctx, `set local enable_sort = off`); err != nil {
		return nil, "", err
	}
	if id == nil || len(ids) < p.Size && looked < args["look"].(int) {
		return ids, "", nil
	}
	if order == ByName {
		return ids, token(order, *id, *name), nil
	}
	return ids, token(order, *id, strconv.FormatInt(created.UnixMicro(), 10)), nil
}

const tooManyToSort = "too_many_to_sort"

var lastRuns = `
select page.id from unnest(@ids::text[]) with ordinality page (id, nth) left join lateral (
    select newest.fired_at from (
        select r.fired_at, r.status, r.due_at from tactus.runs r where r.schedule_id = page.id::uuid
        order by r.due_at desc limit 1000
    ) newest where newest.status not in ('missed', 'skipped') order by newest.due_at desc limit 1
) r on true
order by r.fired_at desc nulls last, page.nth`

// sorted sorts all chosen schedules in an order that has no index. It returns an error if they are too many.
func (f Filter) sorted(ctx context.Context, tx pgx.Tx, order Order, p Page) (ids []string, next string, err error) {
	from := 0
	if p.Token != "" {
		_, rest, err := parseToken(p.Token, order)
		if err != nil {
			return nil, "", err
		}
		if from, err = strconv.Atoi(rest); err != nil || from < 0 {
			return nil, "", ErrPageToken
		}
	}
	all, more, err := f.part(ctx, tx, ByNewest, Page{Size: MaxSorted})
	if err != nil {
		return nil, "", err
	}
	if more != "" {
		return nil, "", &domain.Error{
			Kind: domain.Invalid, Code: tooManyToSort, Field: "sort",
			Message: fmt.Sprintf("at most %d schedules are sorted by %s: choose fewer, by tag, task or text, or sort by name", MaxSorted, order),
		}
	}
	if order == ByNext {
		lines, err := readLines(ctx, tx, all, time.Now())
		if err != nil {
			return nil, "", err
		}
		slices.SortStableFunc(lines, sooner)
		all = all[:0]
		for _, line := range lines {
			all = append(all, line.ID.String())
		}
	} else {
		rows, err := tx.Query(ctx, lastRuns, pgx.QueryExecModeExec, pgx.NamedArgs{"ids": all})
		if err != nil {
			return nil, "", err
		}
		if all, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return nil, "", err
		}
	}
	from = min(from, len(all))
	ids = all[from:min(from+p.Size, len(all))]
	if from+len(ids) < len(all) {
		next = token(order, domain.ID{}.String(), strconv.Itoa(from+len(ids)))
	}
	return ids, next, nil
}

// token returns the token from which a list continues: behind a schedule with a key.
func token(order Order, id, key string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(order) + "|" + id + "|" + key))
}

func parseToken(text string, order Order) (id, key string, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.SplitN(string(raw), "|", 3)
	if err != nil || len(parts) != 3 || parts[0] != string(order) {
		return "", "", ErrPageToken
	}
	if _, err := domain.ParseID(parts[1]); err != nil {
		return "", "", ErrPageToken
	}
	return parts[1], parts[2], nil
}
