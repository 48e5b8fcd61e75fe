package catalog

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// heard says how far an outlook has read the log.
type heard struct {
	Snapshot string    // the outlook has everything that this snapshot shows
	Now      time.Time // when the snapshot was taken, by PostgreSQL's clock
	Server   time.Time // when that server started
}

// outlookLasts is how long an outlook follows the log before it reads all schedules again, because a change by hand
// leaves no event.
const outlookLasts = time.Hour

// mostHeard is how many changed schedules are read by their ids. If there are more, all schedules are read.
const mostHeard = 5_000

type outlookRow struct {
	aheadRow
	Version int64
	Name    string
	Tags    []string
}

// Somebody's own SQL may have nested tags, or null among them.
var schedulesInOutlook = `
select s.id, s.trigger, s.policy, ` + sqlexpr.InYears("s.anchor") + `,
    greatest(` + sqlexpr.InYears("s.effective_from") + `, ` + sqlexpr.InYears("s.skip_until") + `),
    s.version, s.name,
    case when s.tags = '{}' then null else array(select t from unnest(s.tags) t where t is not null) end
from tactus.schedules s
where s.enabled and s.deleted_at is null and s.invalid_reason is null and s.completed_at is null`

var (
	allInOutlook  = schedulesInOutlook + ` limit @most::bigint`
	someInOutlook = schedulesInOutlook + ` and s.id = any (@ids::text[]::uuid[])`
)

// hearSQL also returns
//
//   - whether the log has gone back to before the snapshot @from;
//   - from which transaction on events are searched for in addition. After a crash, PostgreSQL may give new
//     transactions numbers that the snapshot shows as ended. A crash ends all sessions, so this is only needed if the
//     server started after the snapshot was taken;
//   - the end of the log, so that the partitions that stand ready behind it need not be read.
const hearSQL = `
select pg_current_snapshot()::text, clock_timestamp(), pg_postmaster_start_time(),
    pg_snapshot_xmax(pg_current_snapshot()) < pg_snapshot_xmax(@from::text::pg_snapshot),
    case when (select backend_start from pg_stat_activity where pid = pg_backend_pid()) < @heard::timestamptz
        then pg_snapshot_xmax(@from::text::pg_snapshot)::text
        else greatest(pg_snapshot_xmax(@from::text::pg_snapshot)::text::numeric - 10000, 3)::text end,
    (select last_value from tactus.outbox_position)`

var changedSinceSQL = `
select o.aggregate_id, max(o.version) from tactus.outbox o
where o.topic = 'schedule' and o.position <= @end::bigint
    and (` + sqlexpr.NotSeen("@from::text::pg_snapshot") + ` or xid >= @back::text::xid8)
group by o.aggregate_id limit @most::bigint`

// refresh updates an outlook to the present state of the log. The caller holds the token of turn.
func (o *outlook) refresh(ctx context.Context, tx pgx.Tx, asked time.Time) error {
	var h heard
	var back string
	var gone bool
	var end int64
	from := o.heard.Snapshot
	if from == "" {
		from = string(outbox.Nothing)
	}
	row := tx.QueryRow(ctx, hearSQL, pgx.QueryExecModeExec, pgx.NamedArgs{"from": from, "heard": o.heard.Now})
	if err := row.Scan(&h.Snapshot, &h.Now, &h.Server, &gone, &back, &end); err != nil {
		return err
	}
	anew := o.loaded.IsZero() || asked.Sub(o.loaded) >= outlookLasts || gone || !h.Server.Equal(o.heard.Server)
	if !anew && !o.over {
		changed, err := o.changed(ctx, tx, pgx.NamedArgs{"from": from, "back": back, "end": end, "most": mostHeard + 1})
		if err != nil {
			return err
		}
		if anew = len(changed) > mostHeard; !anew {
			if err := o.read(ctx, tx, changed); err != nil {
				return err
			}
			anew = o.bytes > o.most // texts that are no longer used may take the room
		}
	}
	if anew {
		if err := o.load(ctx, tx); err != nil {
			return err
		}
		o.loaded = asked
	}
	o.heard = h
	return o.readCalendars(ctx, tx)
}

// changed returns the schedules that have events of later versions than are known.
func (o *outlook) changed(ctx context.Context, tx pgx.Tx, args pgx.NamedArgs) (changed []domain.ID, err error) {
	rows, err := tx.Query(ctx, changedSinceSQL, pgx.QueryExecModeExec, args)
	if err != nil {
		return nil, err
	}
	var id domain.ID
	var version int64
	_, err = pgx.ForEachRow(rows, []any{&id, &version}, func() error {
		if m := o.schedules[id]; m == nil || m.version < version {
			changed = append(changed, id)
		}
		return nil
	})
	return changed, err
}

// read reads the rows of some schedules.
func (o *outlook) read(ctx context.Context, tx pgx.Tx, ids []domain.ID) error {
	if len(ids) == 0 {
		return nil
	}
	found, err := postgres.Collect(ctx, tx, pgx.RowToStructByPos[outlookRow], someInOutlook,
		pgx.QueryExecModeExec, pgx.NamedArgs{"ids": texts(ids)})
	if err != nil {
		return err
	}
	for _, id := range ids {
		o.drop(id)
	}
	for _, row := range found {
		o.put(row)
	}
	return nil
}

// load reads all schedules. If there are more than are kept, it keeps none.
func (o *outlook) load(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithCancel(ctx) // what is too large is not read to its end
	defer cancel()
	rows, err := tx.Query(ctx, allInOutlook, pgx.QueryExecModeExec, pgx.NamedArgs{"most": mostUpcoming + 1})
	if err != nil {
		return err
	}
	defer rows.Close()
	k := newKept()
	for rows.Next() {
		row, err := pgx.RowToStructByPos[outlookRow](rows)
		if err != nil {
			return err
		}
		k.put(row)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if o.kept, o.over = k, len(k.schedules) > mostUpcoming || k.bytes > o.most; o.over {
		o.kept = newKept()
	}
	return nil
}

const calendarVersions = `
select name, id::text || ' ' || version from tactus.calendars where name = any (@names::text[]) and deleted_at is null`

// readCalendars has plans leave out what the calendars exclude now.
func (o *outlook) readCalendars(ctx context.Context, tx pgx.Tx) error {
	used := map[string]bool{}
	for p := range o.byCalendar {
		for _, name := range p.policy.Calendars.Names() {
			used[name] = true
		}
	}
	if len(used) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, calendarVersions, pgx.QueryExecModeExec, pgx.NamedArgs{
		"names": slices.Collect(maps.Keys(used)),
	})
	if err != nil {
		return err
	}
	now := map[string]string{}
	var name, version string
	if _, err := pgx.ForEachRow(rows, []any{&name, &version}, func() error {
		now[name] = version
		return nil
	}); err != nil {
		return err
	}
	var changed []string
	for name := range used {
		if now[name] != o.versions[name] {
			changed = append(changed, name)
		}
	}
	sets, err := outbox.SetsOf(ctx, tx, domain.Definition{ExcludeCalendars: changed})
	if err != nil {
		return err
	}
	for _, name := range changed {
		o.sets[name], o.versions[name] = sets[name], now[name]
	}
	isChanged := func(name string) bool { return slices.Contains(changed, name) }
	for p := range o.byCalendar {
		if p.known && !slices.ContainsFunc(p.policy.Calendars.Names(), isChanged) {
			continue
		}
		p.rule, _ = p.policy.Calendars.Left(p.base, o.sets) // nil where a calendar does not exist, which a beat reports
		p.known, p.remembers = true, false
	}
	return nil
}
