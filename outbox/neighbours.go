package outbox

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/claims"
)

const (
	isQueue  = "a schedule or a route has a queue of the name %q: choose another for the stream"
	isStream = "a schedule has a stream of the name %q: choose another for the queue"

	isKey = "the key %q of Redis is a stream that a schedule has left there, so it cannot be a queue: " +
		"choose another name for the queue; or delete the key in Redis (DEL) once nobody needs its entries, and write " +
		"this again ten seconds later"
)

// neighbours refuses the target of a schedule that is another's (see package claims). A target that a schedule keeps is
// not asked about: somebody may have taken the name since, by an adopted row.
func (w writer) neighbours(ctx context.Context, d domain.Definition, id domain.ID) error {
	switch {
	case w.keeps != nil && w.keeps.Stream == d.Stream && w.keeps.Queue == d.Queue:
	case d.Stream != "":
		if w.streams != nil {
			w.streams.forget()
		}
		queue := claims.QueueOf(d.Stream)
		taken, err := w.isQueueOfOther(ctx, queue, id)
		if err != nil || !taken {
			return other(taken, err, "/stream", isQueue, queue)
		}
		of, err := claims.AQueueOf(ctx, w.q, queue, id)
		return nameOther(ctx, w.q, of, other(true, err, "/stream", isQueue, queue))
	case d.Queue != "" && w.streams != nil:
		of, err := w.streams.holder(ctx, w.q, d.Queue, id)
		return nameOther(ctx, w.q, of.Of, streamFault(of, err, d.Queue))
	case d.Queue != "":
		return isNoStream(ctx, w.q, d.Queue, id)
	}
	return nil
}

// isNoStream refuses a queue whose name another schedule holds as that of its stream, or has left in Redis.
func isNoStream(ctx context.Context, q Querier, queue string, id domain.ID) error {
	of, err := claims.StreamOfOther(ctx, q, queue, id)
	return nameOther(ctx, q, of.Of, streamFault(of, err, queue))
}

// streamFault is that of a queue whose name is held as that of a stream.
func streamFault(of claims.Holder, err error, queue string) error {
	if of.Held {
		return other(true, err, "/queue", isStream, queue)
	}
	return other(of.Key, err, "/queue", isKey, queue)
}

// isQueueOfOther reports whether a queue is another schedule's or, as far as the role of a caller's transaction may
// know, a route's. An error would abort that transaction, and the hand-over looks at routes again.
func (w writer) isQueueOfOther(ctx context.Context, queue string, id domain.ID) (bool, error) {
	if w.tx != nil {
		may, err := claims.MayReadRoutes(ctx, w.q)
		if err != nil {
			return false, err
		}
		if !may {
			return claims.QueueOfOtherSchedule(ctx, w.q, queue, id)
		}
	}
	return claims.QueueOfOther(ctx, w.q, queue, id)
}

// judgeName is what a schedule is refused for when it has been written: its stream is a queue and nobody holds it, or
// its queue has been claimed as a stream, or is one that was left in Redis. Who has claimed a stream keeps it, and
// those that have a queue of its name are judged.
func (s *Store) judgeName(ctx context.Context, id domain.ID, d domain.Definition) error {
	name, queue := d.Stream, claims.QueueOf(d.Stream)
	if name == "" {
		name = d.Queue
	}
	if name == "" {
		return nil
	}
	has, err := claims.Claimed(ctx, s.pool, []string{name})
	switch {
	case err != nil || d.Stream == "":
		return streamFault(has[name], err, name)
	case !has[name].Held:
		taken, err := claims.QueueOfOther(ctx, s.pool, queue, id)
		return other(taken, err, "/stream", isQueue, queue)
	}
	if err := claims.JudgeQueue(ctx, s.pool, queue); err != nil {
		return err
	}
	return claims.Share(ctx, s.pool, []string{name}, []domain.ID{id})
}

// ForgetClaims forgets the claims of what is deleted.
func (s *Store) ForgetClaims(ctx context.Context) error { return claims.ForgetDeleted(ctx, s.pool) }

func other(taken bool, err error, field, format, name string) error {
	if err != nil {
		return fmt.Errorf("look for the neighbours of %s: %w", field[1:], err)
	}
	if !taken {
		return nil
	}
	return domain.Faults{{Kind: domain.Invalid, Code: "target_ambiguous", Field: field, Message: fmt.Sprintf(format, name)}}
}

// nameOther adds to a fault whose the name is, if who is refused may know that schedule.
func nameOther(ctx context.Context, q Querier, of *domain.ID, fault error) error {
	faults := domain.FaultsOf(fault)
	if len(faults) == 0 || of == nil {
		return fault
	}
	if s, err := Get(ctx, q, *of); err == nil && permitted(ctx, s.Definition) == nil {
		faults[0].Message += fmt.Sprintf(" (it is that of %q, %s)", s.Name, s.ID)
	}
	return faults
}

// streamNames are the streams of all schedules, read again once they are a second old: a store that writes many
// schedules with queues does not ask before each.
type streamNames struct {
	mu    sync.Mutex
	read  time.Time
	names claims.Names
}

// forget has them read anew: one is about to be written.
func (s *streamNames) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
}

// holder returns whose the name of a stream is, apart from what a schedule holds itself.
func (s *streamNames) holder(ctx context.Context, q Querier, name string, but domain.ID) (claims.Holder, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.read) > time.Second {
		names, err := claims.Streams(ctx, q)
		if err != nil {
			return claims.Holder{}, err
		}
		s.read, s.names = time.Now(), names
	}
	return s.names.Holder(name, but), nil
}
