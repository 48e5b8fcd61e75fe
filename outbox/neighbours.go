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

// neighbours refuses a target whose name belongs to another schedule (see package claims). It does not ask about a
// target that the schedule has already: an adopted row may have taken the name since.
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

// isNoStream refuses a queue whose name is that of another schedule's stream, or of a stream that was left in Redis.
func isNoStream(ctx context.Context, q Querier, queue string, id domain.ID) error {
	of, err := claims.StreamOfOther(ctx, q, queue, id)
	return nameOther(ctx, q, of.Of, streamFault(of, err, queue))
}

// streamFault returns the fault of a queue that has the name of a stream.
func streamFault(of claims.Holder, err error, queue string) error {
	if of.Held {
		return other(true, err, "/queue", isStream, queue)
	}
	return other(of.Key, err, "/queue", isKey, queue)
}

// isQueueOfOther reports whether a name is the queue of another schedule or of a route. A caller's transaction whose
// role may not read routes is not asked about them, because the error would abort it; they are looked at again when a
// run is handed over.
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

// judgeName returns the fault in the target of a schedule that has been written: its stream is a queue, and no schedule
// has claimed the stream; or its queue has been claimed as a stream, or is a stream that was left in Redis. A schedule
// that has claimed a stream keeps it, and those with a queue of its name are at fault.
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

// ForgetClaims deletes the claims of deleted schedules.
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

// nameOther adds to a fault which schedule has the name, if the caller may know that schedule.
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

// streamNames keeps the names of all schedules' streams for a second, so that a store which writes many schedules with
// queues does not ask before each.
type streamNames struct {
	mu    sync.Mutex
	read  time.Time
	names claims.Names
}

// forget has the names read anew, because one is about to be written.
func (s *streamNames) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read = time.Time{}
}

// holder returns who has the name as that of a stream, apart from the schedule but.
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
