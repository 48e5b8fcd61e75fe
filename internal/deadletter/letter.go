package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
)

// Sources that are no sink of the relay.
const (
	FromBeat    = "beat"
	FromEntries = "entries"
)

// Letter is something that was set aside.
type Letter struct {
	ID        string    `json:"id"`
	Source    string    `json:"source"`
	Reference string    `json:"reference"` // SCHEDULE/VERSION, RUN/VERSION, SCHEDULE/DUE TIME, or STREAM/ID GROUP
	Reason    string    `json:"reason"`
	Data      string    `json:"data"` // the beginning of it
	Size      int64     `json:"size"` // of all of it, in bytes
	At        time.Time `json:"created_at"`
}

// Box is where the letters are.
type Box struct {
	Pool   *pgxpool.Pool
	Redis  goredis.UniversalClient // of the events; nil where only rows are counted
	Stream string                  // of the events
	Events relay.Route             // to that stream
	Tasks  []string                // the names of the relay's sinks of tasks
	Lease  time.Duration           // how long a silent run keeps the next one back, where runs must not overlap
}

// ErrNone means that there is no such letter.
var ErrNone = errors.New("there is no such dead letter: it may have been put back or dropped already")

// ErrID means that a text is not the id of a letter.
var ErrID = errors.New("want an id as the list shows it: 17, or 1763978400000-0")

// ids parts the ids of letters in Postgres from those in Redis.
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
	number, _ := strconv.ParseInt(l.ID, 10, 64) // it was made of one
	return number
}
