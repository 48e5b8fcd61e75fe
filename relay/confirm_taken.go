package relay

import (
	"context"
	"errors"
	"time"

	"github.com/tactus-dev/tactus/relay/ledger"
)

// confirmTaken confirms, before an epoch begins, the runs that the sink has taken and that were not confirmed, because
// a relay died in between or their rows were locked. The new epoch hands over every run that is still due, and without
// this would hand these runs over twice. Batches that can no longer be read do not keep the epoch from beginning.
func (l *lane) confirmTaken(ctx context.Context, s agreement) error {
	last := s.mark.Last
	if end := s.state.End(); end.Compare(last) < 0 {
		last = end
	}
	if !l.Tasks || s.mark.Epoch != s.state.Epoch || last.Compare(s.state.Confirmed) <= 0 {
		return nil
	}
	held, err := l.confirmUpTo(ctx, s, last)
	if errors.Is(err, errRowsGone) {
		l.log.Warn("what the sink has is not known to the last", "sink", l.Name, "err", err)
		err = nil
	}
	for until := time.Now().Add(l.patience); err == nil && len(held) > 0; {
		if time.Now().After(until) {
			l.log.Warn("runs are locked, and may be handed over again", "sink", l.Name, "runs", len(held))
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(firstPause):
		}
		held, err = l.confirmRuns(ctx, s.state.Epoch, held, last)
	}
	return err
}

// confirmUpTo confirms the runs that were handed over up to a place, and returns those that are locked.
func (l *lane) confirmUpTo(ctx context.Context, s agreement, last ID) (held []handedRun, err error) {
	for number := max(s.state.Confirmed.Batch, s.state.Opened); number <= last.Batch; number++ {
		b, found, err := ledger.BatchFrom(ctx, l.db, l.Name, number)
		if err != nil {
			return held, err
		}
		if !found || b.Number != number {
			return held, errRowsGone
		}
		if held, err = l.confirmBatch(ctx, s, b, last, held); err != nil {
			return held, err
		}
	}
	return held, nil
}

func (l *lane) confirmBatch(
	ctx context.Context, s agreement, b ledger.Batch, last ID, held []handedRun,
) (_ []handedRun, err error) {
	place, end := int64(0), b.Rows
	if b.Number == s.state.Confirmed.Batch {
		place = s.state.Confirmed.Seq
	}
	if b.Number == last.Batch {
		end = last.Seq
	}
	c := room(end - place)
	for row, err := range s.reader.Rows(ctx, b, place) {
		if err != nil {
			return held, err
		}
		if place == end {
			break
		}
		place++
		if c.addRow(ID{Batch: b.Number, Seq: place}, row); c.full() {
			if held, err = l.confirmChunk(ctx, s, b, c, held); err != nil {
				return held, err
			}
			c = room(end - place)
		}
	}
	if place < end {
		return held, errRowsGone
	}
	return l.confirmChunk(ctx, s, b, c, held)
}

func (l *lane) confirmChunk(
	ctx context.Context, s agreement, b ledger.Batch, c chunk, held []handedRun,
) ([]handedRun, error) {
	if len(c.entries) == 0 {
		return held, nil
	}
	wanted, err := l.wanted(ctx, b, c)
	if err != nil {
		return held, err
	}
	for i, row := range c.rows {
		if wanted.has(row) && l.takes(row, b.Epoch) {
			held = append(held, handedRun{id: row.Aggregate, due: c.dues[i], at: c.entries[i].ID})
		}
	}
	return l.confirmRuns(ctx, b.Epoch, held, c.entries[len(c.entries)-1].ID)
}
