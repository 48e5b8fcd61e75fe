package relay

import (
	"bytes"
	"time"

	"github.com/tactus-dev/tactus/outbox"
)

// The data of a run's event begins so, with an ID behind each, as tactus.run_due writes it.
var ofSchedule, ofRun, dueAt = []byte(`{"schedule_id":"`), []byte(`","run_id":"`), []byte(`","due_at":"`)

const idLength = 36

// dueOf returns the due time of a run, which is a part of its key, from its event; the zero time where that does not
// begin as our function writes it. Decoding the whole event would cost ten times as much.
func dueOf(row outbox.Row) time.Time {
	rest, ok := bytes.CutPrefix(row.Data, ofSchedule)
	if !ok || len(rest) < idLength {
		return time.Time{}
	}
	if rest, ok = bytes.CutPrefix(rest[idLength:], ofRun); !ok || !bytes.HasPrefix(rest, []byte(row.Aggregate.String())) {
		return time.Time{}
	}
	if rest, ok = bytes.CutPrefix(rest[idLength:], dueAt); !ok {
		return time.Time{}
	}
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	due, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}
	}
	return due
}
