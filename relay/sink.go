package relay

import (
	"context"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/relay/ledger"
)

// ID is the place of a message in a sink: its batch, and its row there. In a stream it is the entry's ID.
type ID = ledger.ID

// ParseID reads the text that ID.String gave.
func ParseID(text string) (ID, error) { return ledger.ParseID(text) }

// Mark is where a sink is: the epoch that it was last told of (empty when it knows none) and the ID of its last
// message.
type Mark struct {
	Epoch string
	Last  ID
}

// Entry is a message with its ID. One without a message takes its place and is not written: the row is not for this
// sink, or was set aside.
type Entry struct {
	ID      ID
	Message *message.Message
}

// Sink is where batches go. It compares before it appends, so that nothing is written twice, out of order or by a relay
// that another has replaced. Package sinktest holds a sink to these rules; every sink of ours passes it.
type Sink interface {
	// Mark tells where the sink is, by what it really holds.
	Mark(ctx context.Context) (Mark, error)
	// Append writes entries, in order, if the sink is at the given mark, and tells where it is then. A *Mismatch means
	// that it was elsewhere and nothing was written; a *Refused, that the entries before the refused one were written.
	// After any other error it is not known how many were: ask for the mark.
	Append(ctx context.Context, at Mark, entries []Entry) (Mark, error)
	// Begin moves the sink from one mark to another without a message: into an epoch, or past what it has lost.
	// A *Mismatch means that it was elsewhere and did not move.
	Begin(ctx context.Context, from, to Mark) error
}

// Claimer is a sink that knows whose it is: it gives an error, a Refusal, when it is another installation's, or when
// another copy of ours has replaced this one.
type Claimer interface {
	// Claim says for whom the sink is asked and filled from now on.
	Claim(ledger.Owner)
}

// Refusal is the error of a sink that belongs to somebody else.
type Refusal interface {
	error
	// Owner returns whose the sink is, and the place of it that says so. Both are kept, in case the place is emptied.
	Owner() (place, owner string)
}

// Mismatch is the answer of a sink that is not where the relay believed.
type Mismatch struct{ Real Mark }

func (m *Mismatch) Error() string {
	return fmt.Sprintf("the sink is at %s of epoch %q", m.Real.Last, m.Real.Epoch)
}

// Refused is the answer of a sink that will never take one entry as it is, such as for a key of another type. Real is
// where the sink is: at the entry before.
type Refused struct {
	Real   Mark
	ID     ID
	Reason string

	// Also are other entries of the call, behind the refused one and in order, that the sink would refuse too. They
	// need not all be there.
	Also []RefusedEntry
}

// RefusedEntry is an entry that a sink would refuse.
type RefusedEntry struct {
	ID     ID
	Reason string
}

func (r *Refused) Error() string { return fmt.Sprintf("the sink refuses %s: %s", r.ID, r.Reason) }
