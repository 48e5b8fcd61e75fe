package deadletter

import (
	"context"
	"fmt"
	"slices"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
)

// Outcome is the result of putting a letter back.
type Outcome struct {
	Letter
	Again  bool   `json:"again"`
	Locked bool   `json:"locked,omitempty"` // passed over because of a lock
	Result string `json:"result"`           // what happens next, or why the letter is not put back
}

func again(l Letter, what string) Outcome { return Outcome{Letter: l, Again: true, Result: what} }
func kept(l Letter, why string) Outcome   { return Outcome{Letter: l, Result: why} }

// Retry puts letters back, in the order of their list. A letter that cannot be put back stays, with the reason in its
// outcome. Beside an error, Retry returns the outcomes up to it.
func (b *Box) Retry(ctx context.Context, letters []Letter) ([]Outcome, error) {
	var events []Letter
	var done []Outcome
	for _, l := range letters {
		if b.Redis == nil && (l.Source == b.Events.Name || l.Source == FromEntries) {
			done = append(done, kept(l, "this process does not know the Redis of the events: tactus deadletter retry "+l.ID))
			continue
		}
		if l.Source == b.Events.Name {
			events = append(events, l)
			continue
		}
		o, err := b.retry(ctx, l)
		if err != nil {
			return done, fmt.Errorf("put %s back: %w", l.ID, err)
		}
		done = append(done, o)
	}
	outcomes, err := b.retryEvents(ctx, events)
	return append(done, outcomes...), err
}

func (b *Box) retry(ctx context.Context, l Letter) (Outcome, error) {
	if l.Source == FromBeat || slices.Contains(b.Tasks, l.Source) {
		if any, err := b.room.Wait(ctx, b.Pool, b.Patience); !any || err != nil {
			return kept(l, domain.ErrBacklog.Message), err
		}
	}
	switch {
	case l.Source == FromEntries:
		return b.retryEntry(ctx, l)
	case l.Source == FromNotifications:
		return b.retryNotification(ctx, l)
	case l.Source == FromBeat:
		return b.retryDue(ctx, l)
	case slices.Contains(b.Tasks, l.Source):
		return b.retryRun(ctx, l)
	}
	return kept(l, "this program has no sink of that name"), nil
}

func (b *Box) retryEntry(ctx context.Context, l Letter) (Outcome, error) {
	answer, err := redis.ReadAgain(ctx, b.Redis, b.Stream, l.ID)
	switch answer {
	case redis.LetterAgain:
		return again(l, "its group reads it within a minute"), err
	case redis.EntryGone:
		return kept(l, "the entry is no longer in the stream"), err
	case redis.EntryNoReader:
		return kept(l, "its group is no more"), err
	}
	return kept(l, ErrNone.Error()), err
}
