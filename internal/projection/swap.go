package projection

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// beside is the second table, which holds the correct rows until the swap. It is created with the first row.
type beside struct {
	pool *pgxpool.Pool
	name string
	made bool
	rows [][]any // not yet written to the table
	size int     // bytes of the JSON in rows
}

func newBeside(pool *pgxpool.Pool) *beside {
	return &beside{pool: pool, name: "schedules_rebuilt_" + strings.ReplaceAll(outbox.NewID().String(), "-", "")}
}

// The limits of one write to the second table.
const (
	batchRows  = 500
	batchBytes = 4 << 20
)

const columns = `id, name, version, enabled, invalid_reason, managed_by, trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, deleted_at, category, tags, definition, task,
    paused_at, paused_until, skip_until, completed_at, paused_by, pause_reason, pause_group, skipped_by, skip_reason`

// makeBeside creates the second table. Besides the projection's columns it has the version of the row to be replaced
// (0: there is none), and whether there should be a row at all. Nobody else may make a column of a table's type, which
// would keep the table from being dropped.
const makeBeside = `
create table tactus.%[1]s as select ` + columns + `, 0::bigint as is_version, true as wanted from tactus.schedules limit 0;
revoke usage on type tactus.%[1]s from public`

const makeReplaced = `
create table if not exists tactus.schedules_replaced (replaced_at timestamptz not null, id uuid not null, version bigint not null, schedule json not null);
revoke usage on type tactus.schedules_replaced from public`

func (b *beside) add(ctx context.Context, d Difference) error {
	if !b.made {
		if _, err := b.pool.Exec(ctx, fmt.Sprintf(makeBeside, b.name)); err != nil {
			return fmt.Errorf("create the second table: %w", err)
		}
		b.made = true
	}
	b.rows = append(b.rows, d.values())
	if d.row != nil {
		b.size += len(d.row.Definition) + len(d.row.Task)
	}
	if len(b.rows) < batchRows && b.size < batchBytes {
		return nil
	}
	return b.flush(ctx)
}

func (d Difference) values() []any {
	r := Row{ID: d.ID}
	if d.row != nil {
		r = *d.row
	}
	return []any{
		r.ID, r.Name, r.Version, r.Enabled, postgres.OrNull(r.InvalidReason), postgres.OrNull(r.ManagedBy), r.Trigger, r.Anchor, r.Policy,
		r.EffectiveFrom, r.TriggerSetAt, r.CreatedAt, r.UpdatedAt, r.DeletedAt, r.Category, r.Tags, postgres.OrNull(r.Definition), postgres.OrNull(r.Task),
		r.PausedAt, r.PausedUntil, r.SkipUntil, r.CompletedAt, postgres.OrNull(r.PausedBy), postgres.OrNull(r.PauseReason), postgres.OrNull(r.PauseGroup),
		postgres.OrNull(r.SkippedBy), postgres.OrNull(r.SkipReason), d.Is, d.row != nil,
	}
}

func (b *beside) flush(ctx context.Context) error {
	names := strings.FieldsFunc(columns+", is_version, wanted", func(r rune) bool { return r == ',' || r == ' ' || r == '\n' })
	_, err := b.pool.CopyFrom(ctx, pgx.Identifier{"tactus", b.name}, names, pgx.CopyFromRows(b.rows))
	b.rows, b.size = nil, 0
	if err != nil {
		return fmt.Errorf("write the second table: %w", err)
	}
	return nil
}

// swapRows replaces the rows that are unchanged since they were compared, and inserts the missing ones. It deletes all
// old rows before it inserts the first new one, because two schedules may have each other's names. A corrected row is a
// change like any other: it has a new version and an event, so that beats and consumers hear of it, and its due times
// count from now, so that no beat continues with one computed from the old row.
const swapRows = `
with moment as materialized (select clock_timestamp() as now),
gone as (
    delete from tactus.schedules s using tactus.%[1]s b where s.id = b.id and s.version = b.is_version returning s.*
),
kept as (
    insert into tactus.schedules_replaced (replaced_at, id, version, schedule)
    select now, id, version, row_to_json(gone) from gone, moment returning id
),
put as (
    insert into tactus.schedules (` + columns + `)
    select id, name, version + 1, enabled, invalid_reason, managed_by, trigger, anchor, policy,
        case when enabled and deleted_at is null then now else effective_from end,
            trigger_set_at, created_at, now, deleted_at,
        category, tags, definition, task,
        paused_at, paused_until, skip_until, completed_at, paused_by, pause_reason, pause_group, skipped_by, skip_reason
    from tactus.%[1]s b, moment
    where (select count(*) from gone) >= 0 and b.wanted and (b.is_version = 0 or b.id in (select id from gone))
    on conflict (id) do nothing
    returning *
),
event as (
    insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
    select 'schedule', id, version, case when deleted_at is null then 'schedule.updated' else 'schedule.deleted' end,
        tactus.schedule_data(put), updated_at
    from put
    returning position
),
bell as (select ` + sqlexpr.RingSchedules + ` as rung from (select from event limit 1) e where $1::boolean)
select (select count(*) from gone where id not in (select id from put)) + (select count(*) from put), (select count(*) from kept),
    (select count(*) from bell)`

// patiently limits the wait for a row that another transaction holds, because other sessions queue behind us meanwhile.
const patiently = `select set_config('lock_timeout', '2s', true), set_config('statement_timeout', '0', true)`

// onBehalfOf has the events say who rebuilds, beside the role.
const onBehalfOf = `select set_config('tactus.actor', $1, true), set_config('tactus.reason', $2, true)`

// swap swaps the rows in one round trip and one transaction, and returns how many rows were corrected.
func (b *beside) swap(ctx context.Context) (replaced int64, err error) {
	if !b.made {
		return 0, nil
	}
	if err := b.flush(ctx); err != nil {
		return 0, err
	}
	if _, err := b.pool.Exec(ctx, makeReplaced); err != nil {
		return 0, fmt.Errorf("create tactus.schedules_replaced: %w", err)
	}
	err = postgres.Ringing(func(ring bool) error {
		var batch pgx.Batch
		batch.Queue(patiently)
		actor, reason := outbox.ActorOf(ctx)
		batch.Queue(onBehalfOf, actor, reason)
		var kept, rung int64
		batch.Queue(fmt.Sprintf(swapRows, b.name), ring).
			QueryRow(func(row pgx.Row) error { return row.Scan(&replaced, &kept, &rung) })
		return b.pool.SendBatch(ctx, &batch).Close()
	})
	if err != nil {
		return 0, fmt.Errorf("swap: %w", err)
	}
	return replaced, nil
}
