package catalog

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Filter selects schedules. Zero members select all.
type Filter struct {
	Enabled  *bool
	State    string // see [domain.Schedule.State]
	Invalid  *bool  // whether they have a reason why they cannot be scheduled
	Category string
	Tags     []string // all of them
	Task     string   // the whole name of the task
	Name     string   // the whole name
	Query    string   // a part of the name; case does not matter
	Calendar string   // a calendar that they name
	Limit    int
	Offset   int

	// Only Schedules, Choose and BoardPart know the following.
	Queue      string           // named by the schedule or by the route of its task
	Text       string           // a part of the name, task, description, category or a tag; case does not matter
	Owner      string           // see Entry.Owner; or Nobody
	LastStatus domain.RunStatus // of the newest run
	PauseGroup string           // the operation that disabled them
}

// isInvalid is true for invalid schedules. Its text equals the condition of the index schedules_invalid_newest.
var isInvalid = `s.invalid_reason is not null or ` + beyondYears

// Nobody owns schedules that were made by the API, the command line or the pages.
const Nobody = "none"

const ofTable = "table:"

// ownerTags begin the tags by which schedules tell which files, or which import, they come from.
var ownerTags = []string{"source:", "import:"}

// owner returns the owner of a schedule, or an empty text.
func owner(managedBy string, tags []string) string {
	if managedBy != "" {
		return ofTable + managedBy
	}
	for _, prefix := range ownerTags {
		for _, tag := range tags {
			if strings.HasPrefix(tag, prefix) {
				return tag
			}
		}
	}
	return ""
}

func (f Filter) checkOwner() error {
	known := f.Owner == "" || f.Owner == Nobody || strings.HasPrefix(f.Owner, ofTable)
	for _, prefix := range ownerTags {
		known = known || strings.HasPrefix(f.Owner, prefix)
	}
	if known {
		return nil
	}
	return &domain.Error{
		Kind: domain.Invalid, Code: "parameter_invalid", Field: "owner",
		Message: fmt.Sprintf("%.200q: want source:NAME, import:KIND:LABEL, table:NAME, or none", f.Owner),
	}
}

// tags are those of the schedules that the filter selects: an owner may be one.
func (f Filter) tags() []string {
	tags := append([]string{}, f.Tags...)
	if f.Owner != "" && f.Owner != Nobody && !strings.HasPrefix(f.Owner, ofTable) {
		tags = append(tags, f.Owner)
	}
	return tags
}

// chosen has the states of domain.Schedule.State.
var chosen = `
    and (@enabled::boolean is null or s.enabled = @enabled::boolean)
    and (@invalid::boolean is null or (` + isInvalid + `) = @invalid::boolean)
    and (@state::text = '' or @state = case when ` + isInvalid + ` then '` + domain.Unfit + `'
        when s.completed_at is not null then '` + domain.Completed + `'
        when not s.enabled then '` + domain.Paused + `' else '` + domain.Active + `' end)
    and (@category::text = '' or s.category = @category)
    and (cardinality(@tags::text[]) = 0 or s.tags @> @tags::text[])
    and (@task::text = '' or left(` + sqlexpr.TaskName + `, 200) = @task)
    and (@name::text = '' or s.name = @name)
    and (@query::text = '' or strpos(lower(s.name), lower(@query)) > 0)
    and (@calendar::text = '' or strpos(s.policy, '"calendars":') > 0 and tactus.uses_calendar(s.policy, @calendar))
    and ` + sqlexpr.InScope

var (
	countSchedules = fmt.Sprintf(`
select count(*) from (select from tactus.schedules s where s.deleted_at is null%s limit @most::bigint) counted`, chosen)

	pageOfSchedules = `
select s.id::text from tactus.schedules s where s.deleted_at is null` + chosen + `
order by s.created_at desc, s.id desc limit @limit::bigint offset @offset::bigint`

	pageFromTheEnd = `
select s.id::text from tactus.schedules s where s.deleted_at is null` + chosen + `
order by s.created_at, s.id limit @limit::bigint offset @offset::bigint`

	// Rows that have to be examined one by one are examined once, for both the page and the total. found returns them
	// in order.
	pageAndCount = fmt.Sprintf(`
with found as materialized (
    select s.id from tactus.schedules s where s.deleted_at is null%s
    order by s.created_at desc, s.id desc limit @most::bigint
)
select array(select id::text from found limit @limit::bigint offset @offset::bigint), (select count(*) from found)`, chosen)
)

// most returns up to which number the chosen schedules are counted. It is less if an index alone cannot find them.
func (f Filter) most(ctx context.Context) int64 {
	if len(f.Tags) > 0 || f.Task != "" || f.Query != "" || f.Calendar != "" || f.Invalid != nil && !*f.Invalid || f.State != "" || confined(ctx) {
		return MaxMatchCount
	}
	return MaxCount
}

// find returns the ids of a page, and the number of chosen schedules, counted up to most. Schedules with a tag are few,
// so sorting them is cheaper than finding them in the order of all schedules.
func (f Filter) find(ctx context.Context, tx pgx.Tx) (page []string, total int64, err error) {
	if err := f.check(); err != nil {
		return nil, 0, err
	}
	if _, err := tx.Exec(ctx, `set local enable_sort = on`); err != nil {
		return nil, 0, err
	}
	if f.most(ctx) < MaxCount && int64(f.Offset+f.Limit) <= f.most(ctx) {
		err = tx.QueryRow(ctx, pageAndCount, pgx.QueryExecModeExec, f.args(ctx)).Scan(&page, &total)
	} else {
		page, total, err = f.findByIndex(ctx, tx)
	}
	if err != nil {
		return nil, 0, err
	}
	_, err = tx.Exec(ctx, `set local enable_sort = off`)
	return page, min(total, f.most(ctx)), err
}

// findByIndex reads the page through an index, from the nearer end of the list.
func (f Filter) findByIndex(ctx context.Context, tx pgx.Tx) (page []string, total int64, err error) {
	if err := tx.QueryRow(ctx, countSchedules, pgx.QueryExecModeExec, f.args(ctx)).Scan(&total); err != nil {
		return nil, 0, err
	}
	sql, behind := pageOfSchedules, int(total)-f.Offset
	switch {
	case total > f.most(ctx): // the real number is unknown
	case behind <= 0:
		return nil, total, nil
	case behind < f.Offset:
		sql, f.Limit = pageFromTheEnd, min(f.Limit, behind)
		f.Offset = behind - f.Limit
	}
	rows, err := tx.Query(ctx, sql, pgx.QueryExecModeExec, f.args(ctx))
	if err != nil {
		return nil, 0, err
	}
	page, err = pgx.CollectRows(rows, pgx.RowTo[string])
	return page, total, err
}

func (f Filter) args(ctx context.Context) pgx.NamedArgs {
	return scoped(ctx, pgx.NamedArgs{
		"enabled": f.Enabled, "state": f.State, "invalid": f.Invalid, "category": f.Category, "tags": f.tags(),
		"task": f.Task, "name": f.Name, "query": f.Query, "calendar": f.Calendar, "limit": f.Limit, "offset": f.Offset, "most": f.most(ctx) + 1,
	})
}
