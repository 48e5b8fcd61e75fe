package catalog

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Cursor is how far a reader of the log has come. The reader has all events that were committed in the snapshot from.
// Of the events committed between from and the snapshot to, the reader has those up to a position. A reader therefore
// misses no event that commits late, and receives none twice. A cursor is valid only on the server that made it. The
// zero Cursor has read nothing.
type Cursor struct {
	life     string
	from, to outbox.Snapshot
	position int64
}

// ErrCursor is returned for a cursor that has no meaning here: it is malformed, or from before the database was
// restored or replaced.
var ErrCursor = errors.New("this cursor is not of this log")

func (c Cursor) String() string {
	text := strings.Join([]string{c.life, string(c.from), string(c.to), strconv.FormatInt(c.position, 10)}, "|")
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// snapshot matches the form of a snapshot. Whether a text is a valid one is left to PostgreSQL.
var snapshot = regexp.MustCompile(`^[0-9]+:[0-9]+:[0-9,]*$`)

// ParseCursor parses the result of String. An empty text is the zero Cursor.
func ParseCursor(text string) (Cursor, error) {
	if text == "" {
		return Cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.Split(string(raw), "|")
	if err != nil || len(parts) != 4 {
		return Cursor{}, ErrCursor
	}
	position, err := strconv.ParseInt(parts[3], 10, 64)
	if err != nil || !snapshot.MatchString(parts[1]) || parts[2] != "" && !snapshot.MatchString(parts[2]) {
		return Cursor{}, ErrCursor
	}
	return Cursor{parts[0], outbox.Snapshot(parts[1]), outbox.Snapshot(parts[2]), position}, nil
}

// EventFilter chooses events; zero members choose all those of schedules and calendars. Others (of routes,
// notification rules, backfills, time zones) are chosen by their type alone.
type EventFilter struct {
	Type       domain.EventType
	Schedule   *domain.ID
	Actor      string // who made it
	OnBehalfOf string // as its writer says
}

// topic returns the topic that the chosen events have.
func (f EventFilter) topic() string {
	if kind, _, _ := strings.Cut(string(f.Type), "."); slices.Contains(apart, kind) {
		return kind
	}
	return outbox.Schedules
}

// apart are the topics of events that stand apart, which are the first words of their types.
var apart = []string{"zone", "route", "rule", "backfill"}

// IsApart reports whether events of a type are about no schedule and no calendar.
func IsApart(t domain.EventType) bool { return EventFilter{Type: t}.topic() != outbox.Schedules }

// Event is a row of the log with the cursor of a reader who has come to it.
type Event struct {
	outbox.Row
	At    Cursor
	Epoch string // of the log, as this feed counts
}

// Latest returns the cursor of a reader who wants only future events.
func (c *Catalog) Latest(ctx context.Context) (Cursor, error) {
	life, now, err := c.present(ctx)
	return Cursor{life: life, from: now}, err
}

// Events returns the chosen events after a cursor, at most limit of them, and the cursor after those. more reports
// whether there may be more events. It may be true for an empty page: Events reads a bounded part of the log, in which
// none may be chosen although some come later. The events of one schedule are in the order of their versions.
func (c *Catalog) Events(ctx context.Context, after Cursor, f EventFilter, limit int) (events []Event, next Cursor,
	more bool, err error,
) {
	life, now, err := c.present(ctx)
	if err != nil {
		return nil, Cursor{}, false, err
	}
	switch {
	case after == Cursor{}:
		after = Cursor{life: life, from: outbox.Nothing}
	case after.life != life:
		return nil, Cursor{}, false, ErrCursor
	}
	for {
		if after.to == "" {
			after.to = now
			if after.position, err = c.begins(ctx, f.topic(), after.from); err != nil {
				return nil, Cursor{}, false, err
			}
		}
		found, end, more, err := c.look(ctx, after, f, limit)
		if err != nil {
			return nil, Cursor{}, false, err
		}
		for _, row := range found {
			after.position = row.Position
			events = append(events, Event{row, after, life})
		}
		if more {
			after.position = end
			return events, after, true, nil
		}
		behind := after.to != now
		if after = (Cursor{life: life, from: after.to}); !behind || len(events) > 0 {
			return events, after, behind, nil
		}
	}
}

// beginningSQL finds a position before the first row that a snapshot has not seen. If there are few such rows, it is
// the position right before the first one; otherwise it is one that can be found without reading these rows:
//
// A transaction has its number before it draws the position of an event, because it has locked the schedule's row by
// then. Let x be the lowest transaction number that the snapshot has not seen. Of the transactions in the log with
// numbers below x, take the newest ones, one more than can run at once. At least one of them must have ended before x
// was assigned. All its positions were drawn before that, so they are below the positions of all rows that the snapshot
// has not seen. It is not known which one it was, so beginningSQL takes the lowest position of them all. Events of
// zones are an exception, since their writers may draw a position before they have a number; these events are few, and
// are read from the beginning.
const beginningSQL = `
with recursive unseen as materialized (
    (select position from tactus.outbox
        where topic = @topic and xid = any (array(select pg_snapshot_xip(@from::pg_snapshot))) limit @most::bigint + 1)
    union all
    (select position from tactus.outbox
        where topic = @topic and xid >= pg_snapshot_xmax(@from::pg_snapshot) order by xid limit @most::bigint + 1)
),
at_once as materialized (
    select sum(current_setting(name)::bigint) as transactions
    from unnest('{max_connections,max_prepared_transactions,max_worker_processes}'::text[]) as name
    where @topic = 'schedule' and (select count(*) from unseen) > @most::bigint
),
before (xid, position, nth) as (
    (select xid, position, 1 from tactus.outbox, at_once
        where topic = @topic and transactions is not null and xid < pg_snapshot_xmin(@from::pg_snapshot)
            order by xid desc limit 1)
    union all
    select e.xid, e.position, nth + 1 from before b, at_once cross join lateral (
        select xid, position from tactus.outbox where topic = @topic and xid < b.xid order by xid desc limit 1
    ) e where b.nth <= transactions
)
select case
    when (select count(*) from unseen) <= @most::bigint
        then (select coalesce(min(position) - 1, 9223372036854775807) from unseen)
    when (select max(nth) from before) > (select transactions from at_once) then (select min(position) - 1 from before)
    else 0 end`

// fewUnseen is how many rows are read in search of the first unseen one.
const fewUnseen = 500

func (c *Catalog) begins(ctx context.Context, topic string, from outbox.Snapshot) (position int64, err error) {
	if from == outbox.Nothing {
		return 0, nil
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, beginningSQL, pgx.QueryExecModeExec, pgx.NamedArgs{
			"topic": topic, "from": string(from), "most": fewUnseen,
		}).Scan(&position)
	})
	return position, ofCursor(err)
}

// The limits of what one page reads, whatever the filter.
const (
	maxLookedAt  = 2_000
	maxFeedBytes = 8 << 20
)

// lookAt reads rows in the order of their positions, and selects those that the filter chooses. It compares each row
// with the snapshots, except that a reader who starts from the beginning also gets rows that a restored database had.
// It also returns the last position that it has read.
var lookAt = `
with looked_at as materialized (
    select position, aggregate_id, type,
        (@actor::text = '' or strpos(coalesce(headers::text, ''), to_json(@actor::text)::text) > 0)
            and (@behalf::text = '' or strpos(coalesce(headers::text, ''), to_json(@behalf::text)::text) > 0) as said,
        ` + sqlexpr.NotSeen("@from::pg_snapshot") + `
            and (pg_visible_in_snapshot(xid, @to::pg_snapshot) or @from::text = '` + string(outbox.Nothing) + `' and ` + sqlexpr.BeforeEpoch + `) as new
    from tactus.outbox where topic = @topic and position > @position::bigint order by position limit @most::bigint
)
select array(
        select position from looked_at
        where new and (@type::text = '' or type = @type) and (@schedule::uuid is null or aggregate_id = @schedule)
            and said and (not @confined::boolean
                or exists (select from tactus.schedules s where s.id = aggregate_id and ` + sqlexpr.InScope + `))
        order by position limit @limit::bigint + 1
    ), coalesce(max(position), 0), count(*) from looked_at`

// readFeed reads rows with their documents.
const readFeed = `
select position, aggregate_id, version, type, data, headers, ` + sqlexpr.OccurredAt + `
from tactus.outbox where topic = $1 and position = any ($2::bigint[]) order by position`

// look returns the chosen events among the next rows, the position up to which it has looked, and whether there are
// more rows.
func (c *Catalog) look(ctx context.Context, after Cursor, f EventFilter, limit int) (found []outbox.Row, end int64,
	more bool, err error,
) {
	var chosen []int64
	var count int
	err = c.pool.QueryRow(ctx, lookAt, pgx.QueryExecModeExec, scoped(ctx, pgx.NamedArgs{
		"topic": f.topic(), "from": string(after.from), "to": string(after.to), "position": after.position,
		"type": string(f.Type), "schedule": f.Schedule, "limit": limit, "most": maxLookedAt, "confined": confined(ctx),
		"actor": f.Actor, "behalf": f.OnBehalfOf,
	})).Scan(&chosen, &end, &count)
	if err != nil {
		return nil, 0, false, ofCursor(err)
	}
	more = count == maxLookedAt
	if len(chosen) > limit {
		chosen, more = chosen[:limit], true
		end = chosen[limit-1]
	}
	if len(chosen) == 0 {
		return nil, end, more, nil
	}
	found, err = c.readFeed(ctx, f.topic(), chosen)
	if len(found) > 0 && len(found) < len(chosen) {
		end, more = found[len(found)-1].Position, true
	}
	return slices.DeleteFunc(found, f.isOfOther), end, more, err
}

// isOfOther reports whether an event has another actor than the filter's. The statement only finds events whose headers
// contain the name anywhere.
func (f EventFilter) isOfOther(row outbox.Row) bool {
	var by struct{ Actor, OnBehalfOf string }
	if f.Actor == "" && f.OnBehalfOf == "" {
		return false
	}
	return json.Unmarshal(row.Headers, &by) != nil ||
		f.Actor != "" && by.Actor != f.Actor || f.OnBehalfOf != "" && by.OnBehalfOf != f.OnBehalfOf
}

// readFeed reads rows until their documents are too large together.
func (c *Catalog) readFeed(ctx context.Context, topic string, positions []int64) (found []outbox.Row, err error) {
	ctx, cancel := context.WithCancel(ctx) // a result that is too large is not read to its end
	defer cancel()
	rows, err := c.pool.Query(ctx, readFeed, pgx.QueryExecModeExec, topic, positions)
	if err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	defer rows.Close()
	for bytes := 0; rows.Next(); {
		row, err := pgx.RowToStructByPos[outbox.Row](rows)
		if err != nil {
			return nil, fmt.Errorf("read feed: %w", err)
		}
		if err := Hold(ctx, len(row.Data)); err != nil {
			cancel()
			return nil, err
		}
		found = append(found, row)
		if bytes += len(row.Data); bytes > maxFeedBytes {
			cancel()
			return found, nil
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	return found, nil
}

const invalidText = "22P02"

// ofCursor returns ErrCursor if PostgreSQL refused the snapshots of a cursor, and otherwise wraps the error.
func ofCursor(err error) error {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == invalidText {
		return ErrCursor
	}
	if err != nil {
		return fmt.Errorf("read feed: %w", err)
	}
	return nil
}

// readPresent fails on a standby, whose snapshots do not tell what is running.
const readPresent = `
select ` + sqlexpr.SystemIdentifier + ` || '.' || ` + sqlexpr.Timeline + `, pg_current_snapshot()::text`

// present returns the current epoch of the log, as this feed counts epochs, and the current snapshot.
func (c *Catalog) present(ctx context.Context) (life string, now outbox.Snapshot, err error) {
	if err := c.pool.QueryRow(ctx, readPresent).Scan(&life, &now); err != nil {
		return "", "", fmt.Errorf("read snapshot: %w", err)
	}
	return life, now, nil
}
