package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// late is the age of an event from which on its run counts as late. Up to this age a run's expiry counts from its
// event, because the beat has written the run just now.
const late = time.Second

// renewExpirySQL returns the instants from which the expires_seconds of runs count. For a run that is handed over for
// the first time, and late because the relay or its sink was away, this is now, and the statement writes the new expiry
// to the run's row before the message is sent. For all others it is the instant at which they were handed over before.
// The statement waits for no lock: a run whose row is locked keeps its expiry.
const renewExpirySQL = `
with given as materialized (
    select * from unnest((select @ids::uuid[]), (select @seconds::bigint[])) g (id, seconds)
),
first as materialized (
    select r.id, r.due_at, g.seconds from given g, lateral (
        select id, due_at from tactus.runs
        where id = g.id and status = 'due' and redelivered = 0 and not waiting
            and due_at between @first_due::timestamptz and @last_due::timestamptz
        limit 1 for no key update skip locked) r
),
renewed as (
    update tactus.runs r set expires_at = statement_timestamp() + first.seconds * interval '1 second'
    from first
    where r.id = first.id and r.due_at = first.due_at
        and r.due_at between @first_due::timestamptz and @last_due::timestamptz
    returning r.id
)
select id, statement_timestamp() from renewed
union all
select r.id, r.expires_at - g.seconds * interval '1 second' from given g, lateral (
    select id, expires_at from tactus.runs where id = g.id and expires_at is not null
        and due_at between @first_due::timestamptz and @last_due::timestamptz limit 1) r
where r.id not in (select id from renewed)`

// longest is a number of seconds that no instant can be moved by.
const longest = 1e12

// handOver sets HandedOver in the rows of a chunk, unless it is the instant at which the event occurred.
func (l *lane) handOver(ctx context.Context, b ledger.Batch, c chunk, wanted wanted) error {
	var ids []domain.ID
	var seconds []int64
	var dues []time.Time
	for i, row := range c.rows {
		if l.Tasks && row.Data != nil && wanted.has(row) &&
			(b.Kind != ledger.NextBatch || redelivery(row) || time.Since(row.At) > late) {
			if expires := expiresOf(row); expires > 0 && expires < longest {
				ids, seconds, dues = append(ids, row.Aggregate), append(seconds, expires), append(dues, c.dues[i])
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	firstDue, lastDue := dueBounds(dues)
	rows, err := l.db.Query(ctx, renewExpirySQL, pgx.QueryExecModeCacheDescribe,
		pgx.NamedArgs{"ids": ids, "seconds": seconds, "first_due": firstDue, "last_due": lastDue})
	if err != nil {
		return fmt.Errorf("renew expiries: %w", err)
	}
	handed := make(map[domain.ID]time.Time, len(ids))
	var id domain.ID
	var at time.Time
	if _, err := pgx.ForEachRow(rows, []any{&id, &at}, func() error {
		handed[id] = at
		return nil
	}); err != nil {
		return fmt.Errorf("renew expiries: %w", err)
	}
	for i, row := range c.rows {
		c.rows[i].HandedOver = handed[row.Aggregate]
	}
	return nil
}

// expiresOf returns expires_seconds of a run's event; 0 if there is none, or it cannot be read.
func expiresOf(row outbox.Row) int64 {
	if !bytes.Contains(row.Data, []byte(`"expires_seconds"`)) {
		return 0 // most events have none: decoding them all would be expensive
	}
	var task struct {
		ExpiresSeconds int64 `json:"expires_seconds"`
	}
	if json.Unmarshal(row.Data, &task) != nil {
		return 0 // the event is set aside when it is encoded
	}
	return task.ExpiresSeconds
}
