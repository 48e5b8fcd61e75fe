package catalog

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// Cursor is how far a reader of the log has come: it has all that was committed in the snapshot from, and of what came
// until the snapshot to, what is up to a position. So it misses nothing that commits late, and gets nothing twice. It
// is good on the server where it was given. The zero Cursor has read nothing.
type Cursor struct {
	life     string
	from, to outbox.Snapshot
	position int64
}

// ErrCursor is the answer to a cursor that means nothing here: it is malformed, or from before the database was restored
// or replaced.
var ErrCursor = errors.New("this cursor is not of this log")

func (c Cursor) String() string {
	text := strings.Join([]string{c.life, string(c.from), string(c.to), strconv.FormatInt(c.position, 10)}, "|")
	return base64.RawURLEncoding.EncodeToString([]byte(text))
}

// snapshot is what one looks like; whether it is one, PostgreSQL knows.
var snapshot = regexp.MustCompile(`^[0-9]+:[0-9]+:[0-9,]*$`)

// ParseCursor reads what String gave; an empty text is the zero Cursor.
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

// EventFilter chooses events of schedules; zero members do not.
type EventFilter struct {
	Type     domain.EventType
	Schedule *domain.ID
}

// Event is a row of the log with the cursor of a reader who has come to it.
type Event struct {
	outbox.Row
	At    Cursor
	Epoch string // of the log, as this feed counts
}

// Latest is the cursor of a reader who wants only what is still to come.
func (c *Catalog) Latest(ctx context.Context) (Cursor, error) {
	life, now, err := c.present(ctx)
	return Cursor{life: life, from: now}, err
}

// Events returns the chosen events of schedules behind a cursor, at most limit of them, and the cursor behind those. The
// events of one schedule are in the order of their versions.
func (c *Catalog) Events(ctx context.Context, after Cursor, f EventFilter, limit int) ([]Event, Cursor, error) {
	life, now, err := c.present(ctx)
	if err != nil {
		return nil, Cursor{}, err
	}
	switch {
	case after == Cursor{}:
		after = Cursor{life: life, from: outbox.Nothing}
	case after.life != life:
		return nil, Cursor{}, ErrCursor
	}
	if after.to == "" {
		after.to = now
	}
	found, err := c.readFeed(ctx, after, f, limit)
	if err == nil && len(found) == 0 && after.to != now { // the last page ended with its snapshot: an empty page means the end
		after = Cursor{life: life, from: after.to, to: now}
		found, err = c.readFeed(ctx, after, f, limit)
	}
	if err != nil {
		return nil, Cursor{}, err
	}
	events := make([]Event, len(found))
	for i, row := range found {
		after.position = row.Position
		events[i] = Event{row, after, life}
	}
	if len(found) < limit {
		after = Cursor{life: life, from: after.to}
	}
	return events, after, nil
}

// readFeed is planned for its own arguments, as readers of the log are. Who begins gets what a restored database had, too.
const readFeed = `
select position, aggregate_id, version, type, data, headers, occurred_at
from tactus.outbox
where topic = 'schedule' and (xid >= pg_snapshot_xmax(@from::pg_snapshot) or xid = any (array(select pg_snapshot_xip(@from::pg_snapshot))))
    and (pg_visible_in_snapshot(xid, @to::pg_snapshot) or @from::text = '` + string(outbox.Nothing) + `' and ` + outbox.Before + `)
    and position > @position::bigint
    and (@type::text = '' or type = @type) and (@schedule::uuid is null or aggregate_id = @schedule)
order by position limit @limit::bigint`

const invalidText = "22P02"

func (c *Catalog) readFeed(ctx context.Context, after Cursor, f EventFilter, limit int) ([]outbox.Row, error) {
	rows, err := c.pool.Query(ctx, readFeed, pgx.QueryExecModeExec, pgx.NamedArgs{
		"from": string(after.from), "to": string(after.to), "position": after.position,
		"type": string(f.Type), "schedule": f.Schedule, "limit": limit,
	})
	if err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[outbox.Row])
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == invalidText { // a snapshot that is none
		return nil, ErrCursor
	}
	if err != nil {
		return nil, fmt.Errorf("read feed: %w", err)
	}
	return found, nil
}

// readPresent fails on a standby, whose snapshots do not tell what is running.
const readPresent = `
select system_identifier::text || '.' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), pg_current_snapshot()::text
from pg_control_system()`

// present is the life that the log has now, and its snapshot.
func (c *Catalog) present(ctx context.Context) (life string, now outbox.Snapshot, err error) {
	if err := c.pool.QueryRow(ctx, readPresent).Scan(&life, &now); err != nil {
		return "", "", fmt.Errorf("read snapshot: %w", err)
	}
	return life, now, nil
}
