package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/room"
	"github.com/tactus-dev/tactus/relay"
)

// Sources other than the relay's sinks.
const (
	FromBeat    = "beat"
	FromEntries = "entries"
)

// Letter is a dead letter: a row, run, due time or entry that was set aside.
type Letter struct {
	ID        string    `json:"id"`
	Source    string    `json:"source"`
	Reference string    `json:"reference"` // SCHEDULE/VERSION, RUN/VERSION, SCHEDULE/DUE TIME, or STREAM/ID GROUP
	Reason    string    `json:"reason"`
	Data      string    `json:"data"` // cut to MostData characters
	Size      int64     `json:"size"` // of the uncut data, in bytes
	At        time.Time `json:"created_at"`
}

// Box gives access to the dead letters in PostgreSQL and Redis.
type Box struct {
	Pool   *pgxpool.Pool
	Redis  goredis.UniversalClient // the Redis of the events; if nil, only letters in PostgreSQL are handled
	Stream string                  // the event stream
	Events relay.Route             // the relay's route to that stream
	Tasks  []string                // the names of the relay's task sinks
	Lease  time.Duration           // how long a silent run blocks the next one, if runs must not overlap

	Patience time.Duration // how long Retry waits for each run's turn, while many large tasks wait to be handed over
	room     room.Room
}

// ErrNone means that there is no such letter.
var ErrNone = errors.New("there is no such dead letter: it may have been put back or dropped already")

// ErrID means that a text is not the id of a letter.
var ErrID = errors.New("want an id as the list shows it: 17, or 1763978400000-0")

// parse separates the ids of letters in PostgreSQL from those in Redis.
func parse(ids []string) (rows []int64, entries []string, err error) {
	for _, text := range ids {
		if number, err := strconv.ParseInt(text, 10, 64); err == nil && number > 0 {
			rows = append(rows, number)
		} else if _, err := relay.ParseID(text); err == nil && text[0] != '-' {
			entries = append(entries, text)
		} else {
			return nil, nil, fmt.Errorf("%q: %w", text, ErrID)
		}
	}
	return rows, entries, nil
}

func (l Letter) row() int64 {
	number, _ := strconv.ParseInt(l.ID, 10, 64) // cannot fail: the id was made of a number
	return number
}
