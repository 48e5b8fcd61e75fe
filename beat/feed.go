package beat

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Feed is where a beat hears of changes. It is never needed to be right, only to be fast: the beat polls the outbox
// too.
type Feed interface {
	// Mark names the newest event that there is.
	Mark(ctx context.Context) (string, error)
	// Subscribe hears the events after a mark until ctx ends, then closes the channel. Each must be acknowledged. It
	// outlives every outage; when events may have been missed (the group was gone, an entry was unreadable) it calls
	// lost with the reason, and goes on.
	Subscribe(ctx context.Context, mark string, lost func(reason string)) (<-chan *message.Message, error)
}
