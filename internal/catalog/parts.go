package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Parts is what the database knows about the processes: the beats, and the sinks of the relays.
type Parts struct {
	Now    time.Time
	Leases []Lease
	Sinks  []Sink
	Aside  int64 // dead letters that nobody has put back or dropped, counted up to MaxAside
	Unsent Unsent
}

// Unsent tells of the runs that are recorded and not handed over, other than those that another run keeps back.
type Unsent struct {
	Count int64      // up to MaxUnsent
	Since *time.Time // when the oldest was recorded
}

// MaxUnsent is up to which number runs that are not handed over are counted.
const MaxUnsent = 500

// MaxAside is up to which number dead letters are counted.
const MaxAside = 1_000

// Lease tells which beat leads: "beat" is the lease of the beats that fire, "shadow" that of the beats that only
// record.
type Lease struct {
	Name, Holder string
	Term         int64
	ExpiresAt    time.Time
	Watermark    *time.Time // up to which everything is settled
}

// Sink is a destination to which a relay publishes events or runs.
type Sink struct {
	Name, Topic, Epoch string
	Batch              int64      // the newest that was cut
	CutAt              *time.Time // when it was cut
	Rows               int64      // of the newest batch
	Confirmed          int64      // the batch that the sink is known to have
	Stopped            string     // why no relay can serve it
}

var (
	leasesSQL = `select name, holder, epoch, ` + sqlexpr.InYears("expires_at") + `, ` + sqlexpr.InYears("watermark") + ` from tactus.leases order by name limit 100`
	sinksSQL  = `
select s.sink, s.topic, s.epoch, coalesce(b.number, 0), ` + sqlexpr.InYears("b.committed_at") + `, coalesce(b.row_count, 0), s.confirmed_batch, coalesce(s.stopped, '')
from tactus.relay_sinks s left join lateral (
    select number, committed_at, row_count from tactus.relay_batches b where b.sink = s.sink order by number desc limit 1
) b on true order by s.sink limit 100`
)

const countAside = `select clock_timestamp(), (select count(*) from (select from tactus.deadletters where dropped_at is null limit $1::bigint) d)`

// readUnsent looks at the oldest and the newest of the open runs: where none is handed over, the newest wait, and where
// one is left over, it is among the oldest.
var readUnsent = `
with open_ones as (
    (select id, status, waiting, fired_at from tactus.runs
    where status in ('due', 'sent', 'started', 'retrying') and finished_at is null order by fired_at limit @most::bigint)
    union
    (select id, status, waiting, fired_at from tactus.runs
    where status in ('due', 'sent', 'started', 'retrying') and finished_at is null
    order by fired_at desc limit @most::bigint)
)
select least(count(*), @most), ` + sqlexpr.InYears("min(fired_at)") + `
from open_ones where status = 'due' and not waiting`

// Process is a process that is alive.
type Process struct {
	Name  string // what it is, and where
	Zones string // its release of the time zone data
	Seen  time.Time
}

const readProcesses = `
select process, version, seen_at from tactus.zone_processes
where seen_at > clock_timestamp() - make_interval(mins => 3) order by process limit 100`

// Processes returns the processes that have been seen within three minutes, by name.
func (c *Catalog) Processes(ctx context.Context) (all []Process, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, readProcesses, pgx.QueryExecModeExec)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Process])
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read processes: %w", err)
	}
	return all, nil
}

// Parts reads what the database knows about the processes.
func (c *Catalog) Parts(ctx context.Context) (p Parts, err error) {
	err = c.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, countAside, pgx.QueryExecModeExec, MaxAside).Scan(&p.Now, &p.Aside); err != nil {
			return fmt.Errorf("count dead letters: %w", err)
		}
		row := tx.QueryRow(ctx, readUnsent, pgx.QueryExecModeExec, pgx.NamedArgs{"most": MaxUnsent})
		if err := row.Scan(&p.Unsent.Count, &p.Unsent.Since); err != nil {
			return fmt.Errorf("count runs that are not handed over: %w", err)
		}
		rows, err := tx.Query(ctx, leasesSQL, pgx.QueryExecModeExec)
		if err != nil {
			return fmt.Errorf("read leases: %w", err)
		}
		if p.Leases, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Lease]); err != nil {
			return fmt.Errorf("read leases: %w", err)
		}
		if rows, err = tx.Query(ctx, sinksSQL, pgx.QueryExecModeExec); err != nil {
			return fmt.Errorf("read sinks: %w", err)
		}
		if p.Sinks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Sink]); err != nil {
			return fmt.Errorf("read sinks: %w", err)
		}
		return nil
	})
	return p, err
}
