package beat

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// livingRowsSQL reads the columns that memory needs of the schedules that may fire. Schedules that have used up their
// runs are among them until they are recorded as completed. An exception are adopted schedules that are due once and
// have fired: they are never recorded as completed, since only the table that they are adopted from changes them.
const livingRowsSQL = `
select s.id, s.version, s.effective_from, s.anchor, s.updated_at, clock_timestamp(),
    n.fired is not null and (s.trigger = '{"once":true}' or coalesce(n.fired >= ` + sqlexpr.PolicyMaxRuns + `, false)), s.trigger, s.policy,
    ` + sqlexpr.TaskSize + `
from ` + fromLivingSQL

// fromLivingSQL has the tables and the condition of livingRowsSQL.
const fromLivingSQL = `tactus.schedules s
left join tactus.schedule_counts n on n.schedule_id = s.id and n.trigger_set_at = s.trigger_set_at
where s.enabled and s.deleted_at is null and not (s.managed_by is not null and s.trigger = '{"once":true}' and n.fired is not null)`

// uncountedRowsSQL reads the same columns while the table of the counts is locked (see uncounted.go).
const uncountedRowsSQL = `
select s.id, s.version, s.effective_from, s.anchor, s.updated_at, clock_timestamp(), false, s.trigger, s.policy,
    ` + sqlexpr.TaskSize + `
from tactus.schedules s
where s.enabled and s.deleted_at is null`

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// planned makes PostgreSQL plan a statement for its arguments at each execution, leaves no prepared statement in the
// session, which a pooler may hand to another client, and returns results in binary form.
const planned = pgx.QueryExecModeCacheDescribe

var binaryAnswer = pgx.QueryResultFormats{pgx.BinaryFormatCode}

// readRows streams the rows of a query that begins with livingRowsSQL or uncountedRowsSQL.
func readRows(ctx context.Context, q querier, sql string, args ...any) iter.Seq2[memory.Row, error] {
	return func(yield func(memory.Row, error) bool) {
		rows, err := q.Query(ctx, sql, append([]any{planned, binaryAnswer}, args...)...)
		if err != nil {
			yield(memory.Row{}, fmt.Errorf("read schedules: %w", err))
			return
		}
		defer rows.Close()
		for rows.Next() {
			if !yield(decode(rows.RawValues()), nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield(memory.Row{}, fmt.Errorf("read schedules: %w", err))
		}
	}
}

// decode reads the binary columns of livingRowsSQL by hand: a million rows in a second leave a microsecond for each.
func decode(raw [][]byte) memory.Row {
	r := memory.Row{
		ID: domain.ID(raw[0]), Version: int64(binary.BigEndian.Uint64(raw[1])), Effective: instant(raw[2]),
		Updated: instant(raw[4]), Read: instant(raw[5]), Exhausted: raw[6][0] != 0, Trigger: raw[7], Policy: raw[8],
		Weight: int64(binary.BigEndian.Uint32(raw[9])),
	}
	if r.Anchor = noAnchor; raw[3] != nil {
		r.Anchor = instant(raw[3])
	}
	for _, at := range []*memory.Micros{&r.Effective, &r.Anchor, &r.Updated} {
		if *at < noAnchor || *at > lastInstant {
			*at, r.Beyond = noAnchor, true
		}
	}
	return r
}

// instant reads a binary timestamptz: microseconds since 2000.
// Infinity is the largest number there.
func instant(raw []byte) memory.Micros {
	return min(int64(binary.BigEndian.Uint64(raw)), math.MaxInt64-y2000) + y2000
}

const y2000 memory.Micros = 946_684_800_000_000

// noAnchor is the zero time, as the domain has it, and lastInstant is the last instant of the year 9999.
var (
	noAnchor    = time.Time{}.UnixMicro()
	lastInstant = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() - 1
)
