package room

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

const (
	// Most is how many bytes of runs may wait to be handed over before large tasks are kept out: twice as many as of
	// what the beat fires, which would otherwise leave no room for anybody else.
	Most = 16 << 20
	// Large is how many bytes a task has at most that always has room: as many as one that the beat fires at any time.
	Large = 1 << 10

	awayAfter = 5 * time.Second
	lookEvery = time.Second            // while there is room
	fullEvery = 100 * time.Millisecond // while there is none
)

// Room is what one process knows of what waits. The zero Room is ready. It may be used by several goroutines.
type Room struct {
	mu    sync.Mutex
	waits int64 // bytes, as far as is known
	taken int64 // bytes that this process has recorded, ever
	asked time.Time
	full  map[string]since // sinks that have no room, and how long they have been where they are
}

type since struct {
	at   int64
	time time.Time
}

// waitingSQL reads how many bytes wait for each sink of runs that is served, counted up to a limit, and up to which
// position it has taken runs.
const waitingSQL = `
select s.sink, s.at, w.bytes
from (
    select s.sink, case when b.number < s.confirmed_batch or s.confirmed_place >= b.row_count then b.last_position
        else b.first_position - 1 + s.confirmed_place end as at
    from tactus.relay_sinks s, lateral (
        select * from tactus.relay_batches b
        where b.sink = s.sink and b.number <= s.confirmed_batch and b.last_position is not null
        order by b.number desc limit 1
    ) b
    where s.topic = 'run' and s.stopped is null
) s, lateral (
    with recursive page (last, bytes) as (
        select s.at, 0::bigint
        union all
        select n.last, p.bytes + n.bytes from page p, lateral (
            select max(e.position) as last, sum(e.bytes)::bigint as bytes from (
                select o.position, ` + sqlexpr.EventSize + ` as bytes from tactus.outbox o
                where o.topic = 'run' and o.position > p.last order by o.position limit 32
            ) e
        ) n
        where p.bytes < @most::bigint and n.last is not null
    )
    select max(page.bytes) as bytes from page
) w`

// waiting is what waits for a sink.
type waiting struct {
	Sink      string
	At, Bytes int64
}

// Any reports whether there is room for another large task.
func (r *Room) Any(ctx context.Context, q postgres.Querier) (bool, error) {
	now := time.Now()
	before, known := r.know(now)
	if known {
		return before < Most, nil
	}
	all, err := postgres.Collect(ctx, q, pgx.RowToStructByPos[waiting], waitingSQL, pgx.QueryExecModeCacheDescribe,
		pgx.NamedArgs{"most": Most})
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = time.Time{}
		return false, fmt.Errorf("look what waits to be handed over: %w", err)
	}
	return r.heard(all, before, now) < Most, nil
}

// know returns how much waits, if that was asked a moment ago. Else whoever has asked is to find out, and gets what
// this process has recorded until now.
func (r *Room) know(now time.Time) (bytes int64, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	again := lookEvery
	if r.waits >= Most {
		again = fullEvery
	}
	if now.Sub(r.asked) < again {
		return r.waits, true
	}
	r.asked = now
	return r.taken, false
}

// heard takes in what waits, and returns how much that is for the slowest sink which is not away.
func (r *Room) heard(all []waiting, taken int64, now time.Time) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.full
	r.full, r.waits = map[string]since{}, 0
	for _, w := range all {
		if w.Bytes >= Most {
			was, known := before[w.Sink]
			if !known || was.at != w.At {
				was = since{w.At, now}
			}
			r.full[w.Sink] = was
			if now.Sub(was.time) > awayAfter {
				continue
			}
		}
		r.waits = max(r.waits, w.Bytes)
	}
	r.waits += r.taken - taken // recorded while this was asked
	return r.waits
}

// Takes notes that this process has recorded so many bytes.
func (r *Room) Takes(bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waits, r.taken = r.waits+bytes, r.taken+bytes
}

// Wait waits until there is room, or patience is over, and reports which.
func (r *Room) Wait(ctx context.Context, q postgres.Querier, patience time.Duration) (bool, error) {
	for until := time.Now().Add(patience); ; {
		any, err := r.Any(ctx, q)
		if any || err != nil || !time.Now().Before(until) {
			return any, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(fullEvery):
		}
	}
}
