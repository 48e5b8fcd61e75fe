package relay

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/relay/ledger"
)

// ID is the place of a message in a sink: the number of its batch, and its row there. In a stream it is the entry's ID.
type ID = ledger.ID

// ParseID parses a text that ID.String has returned.
func ParseID(text string) (ID, error) { return ledger.ParseID(text) }

// Mark is the state of a sink: the epoch that it is in (empty for a new sink), and the ID of its last entry.
type Mark struct {
	Epoch string
	Last  ID
}

// Entry is a message with its ID. An entry without a message only advances the mark, and nothing is written: its row is
// not for this sink, or was set aside.
type Entry struct {
	ID      ID
	Message *message.Message
}

// Sink is the destination of a route. It compares its mark before it appends, so that nothing is written twice, out of
// order, or by a relay that was replaced by another. Package sinktest tests a sink for these rules; every sink of
// tactus passes it.
type Sink interface {
	// Mark returns the sink's mark, as the sink itself has it.
	Mark(ctx context.Context) (Mark, error)
	// Append writes entries, in order, if the sink is at the mark at, and returns the new mark. A *Mismatch means that
	// the sink was at another mark, and nothing was written. A *Refused means that the entries before the refused one
	// were written. After any other error it is not known how many were written; Mark tells.
	Append(ctx context.Context, at Mark, entries []Entry) (Mark, error)
	// Begin moves the sink from one mark to another without a message: into an epoch, or behind entries that it has
	// lost. A *Mismatch means that the sink was not at from, and did not move.
	Begin(ctx context.Context, from, to Mark) error
}

// Claimer is a sink that knows its owner. Its methods return a Refusal if the sink belongs to another installation, or
// if a copy of this database has taken it over.
type Claimer interface {
	// Claim sets the owner for which the following calls are made.
	Claim(ledger.Owner)
}

// Refusal is the error of a sink that belongs to another owner.
type Refusal interface {
	error
	// Owner returns the owner of the sink, and the address in the sink at which the owner is recorded. The relay keeps
	// both in PostgreSQL, in case the sink loses its data.
	Owner() (place, owner string)
}

// Mismatch is the error of a sink that is not at the given mark. Real is its mark.
type Mismatch struct{ Real Mark }

func (m *Mismatch) Error() string {
	return fmt.Sprintf("the sink is at %s of epoch %q", m.Real.Last, m.Real.Epoch)
}

// Refused is the error of a sink that will never take an entry, for example because the entry's queue is a key of
// another type. Real is the sink's mark: the entry before.
type Refused struct {
	Real   Mark
	ID     ID
	Reason string

	// Also has further entries of the call, behind the refused one and in order, that the sink would refuse as well. It
	// need not have all of them.
	Also []RefusedEntry
}

// RefusedEntry is an entry that a sink would refuse, with the reason.
type RefusedEntry struct {
	ID     ID
	Reason string
}

func (r *Refused) Error() string { return fmt.Sprintf("the sink refuses %s: %s", r.ID, r.Reason) }
