package relay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// chunk is a group of entries of one batch that are appended together.
type chunk struct {
	entries []Entry
	rows    []outbox.Row // of the entries; their data is dropped once encoded
	dues    []time.Time  // the due times of the rows' runs; zero where not known
	size    int
}

const (
	chunkEntries = 1000
	chunkBytes   = 4 << 20
)

// errRowsGone stops a sink: rows of a batch are gone, so the batch could not be published again as it was.
var errRowsGone = errors.New("a batch does not have the rows any more that it was cut with: nothing is published until somebody finds out why")

// read cuts batches and reads their rows, ahead of publishing.
func (l *lane) read(ctx context.Context, s agreement, out chan<- chunk) error {
	b, place, err := l.resumed(ctx, s)
	if err != nil {
		return err
	}
	for p := (&pace{}); ; place = 0 {
		if err := l.readBatch(ctx, s, b, place, out); err != nil {
			return err
		}
		if b, err = l.next(ctx, s.reader, b, p); err != nil {
			return err
		}
		if b.Epoch != s.state.Epoch {
			return errMoved // another relay has begun an epoch, whose batches this reader cannot read
		}
		l.tally.cut()
		if b.Number <= s.state.Newest.Number {
			if err := l.recount(ctx, s.reader, b); err != nil {
				return err
			}
		}
	}
}

// announcement, as a place in the first batch of an epoch, is before the message that announces the epoch. Place 0 is
// behind this message, and rows have places from 1.
const announcement = -1

// resumed returns the batch that a sink is in, and the place in it behind which to continue.
func (l *lane) resumed(ctx context.Context, s agreement) (b ledger.Batch, place int64, err error) {
	number, place := s.readAfter.Batch, s.readAfter.Seq
	if number < s.state.Opened {
		number, place = s.state.Opened, announcement
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	b, found, err := ledger.BatchUpTo(ctx, l.db, l.Name, number)
	if err == nil && (!found || b.Number != number) {
		err = fmt.Errorf("batch %d: %w", number, errRowsGone)
	}
	if err == nil && !b.Has(ID{Batch: number, Seq: place}) {
		err = l.recount(ctx, s.reader, b)
	}
	return b, place, err
}

func (l *lane) recount(ctx context.Context, r *ledger.Reader, b ledger.Batch) error {
	n, err := r.Count(ctx, b)
	if err == nil && n != b.Rows {
		err = fmt.Errorf("batch %d was cut with %d rows and has %d: %w", b.Number, b.Rows, n, errRowsGone)
	}
	return err
}

// emptyAfter is how long there may be nothing new before a batch without rows is cut, which moves the cursor on.
const emptyAfter = 10 * time.Minute

// next cuts the batch that follows after, and waits for rows if there are none.
func (l *lane) next(ctx context.Context, r *ledger.Reader, after ledger.Batch, p *pace) (ledger.Batch, error) {
	for waiting := time.Now(); ; {
		b, cut, err := r.Next(ctx, after, time.Since(waiting) > emptyAfter)
		if errors.Is(err, ledger.ErrNotCut) {
			err = errMoved
		}
		if err != nil {
			return b, err
		}
		if cut {
			p.stir(time.Now())
			return b, nil
		}
		l.tally.rests()
		select {
		case <-ctx.Done():
			return b, ctx.Err()
		case <-l.bell:
			p.stir(time.Now())
		case <-time.After(p.next(time.Now())):
		}
	}
}

// readBatch reads the rows of a batch behind a place, and sends them in chunks.
func (l *lane) readBatch(ctx context.Context, s agreement, b ledger.Batch, place int64, out chan<- chunk) error {
	if none, err := l.hasNoneFor(ctx, s, b, place); err != nil || none {
		return cmp.Or(err, l.passOver(ctx, s, b, out))
	}
	c := room(b.Rows - place)
	if place == announcement {
		place = 0
		if err := l.announce(b, &c); err != nil {
			return err
		}
	}
	for row, err := range s.reader.Rows(ctx, b, place) {
		if err != nil {
			return err
		}
		place++
		c.addRow(ID{Batch: b.Number, Seq: place}, row)
		if c.full() {
			if err := l.send(ctx, s, b, c, out); err != nil {
				return err
			}
			c = room(b.Rows - place)
		}
	}
	if place < b.Rows {
		return fmt.Errorf("batch %d was cut with %d rows and has %d: %w", b.Number, b.Rows, place, errRowsGone)
	}
	return l.send(ctx, s, b, c, out)
}

// hasNoneFor reports whether a batch, as an index shows, has no rows for the sink, so that it need not be read.
func (l *lane) hasNoneFor(ctx context.Context, s agreement, b ledger.Batch, place int64) (bool, error) {
	if l.Only == "" || b.Kind != ledger.NextBatch || place == announcement || place >= b.Rows {
		return false, nil
	}
	any, err := s.reader.HasAny(ctx, b)
	return !any, err
}

// passOver sends a chunk that only moves the sink to the end of a batch.
func (l *lane) passOver(ctx context.Context, s agreement, b ledger.Batch, out chan<- chunk) error {
	c := room(1)
	c.addRow(ID{Batch: b.Number, Seq: b.Rows}, outbox.Row{At: b.CommittedAt})
	return l.send(ctx, s, b, c, out)
}

// announce adds the message that announces an epoch to a chunk, as its first entry.
func (l *lane) announce(b ledger.Batch, c *chunk) error {
	if l.Announce == nil || b.Kind != ledger.EpochBatch {
		return nil
	}
	m, err := l.Announce(b.Epoch, b.CommittedAt)
	if err != nil {
		return fmt.Errorf("announce epoch %s: %w", b.Epoch, err)
	}
	c.entries = append(c.entries, Entry{ID{Batch: b.Number, Seq: 0}, m})
	c.rows, c.dues = append(c.rows, outbox.Row{At: b.CommittedAt}), append(c.dues, time.Time{})
	return nil
}

// room returns an empty chunk with room for the given number of rows, but at most for chunkEntries.
func room(rows int64) chunk {
	n := min(max(rows, 0), chunkEntries)
	return chunk{entries: make([]Entry, 0, n), rows: make([]outbox.Row, 0, n), dues: make([]time.Time, 0, n)}
}

func (c *chunk) full() bool { return len(c.entries) >= chunkEntries || c.size >= chunkBytes }

func (c *chunk) addRow(id ID, row outbox.Row) {
	c.entries = append(c.entries, Entry{ID: id})
	c.rows = append(c.rows, row)
	c.dues = append(c.dues, dueOf(row))
	c.size += len(row.Data)
}

// send encodes a chunk and passes it on to be published.
func (l *lane) send(ctx context.Context, s agreement, b ledger.Batch, c chunk, out chan<- chunk) error {
	if len(c.entries) == 0 {
		return nil
	}
	if err := l.encode(ctx, s, b, c); err != nil {
		return err
	}
	l.tally.read(c)
	select {
	case out <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *lane) encode(ctx context.Context, s agreement, b ledger.Batch, c chunk) error {
	wanted, err := l.wanted(ctx, b, c)
	if err != nil {
		return err
	}
	before, err := l.wasAside(ctx, s, b, c)
	if err != nil {
		return err
	}
	if err := l.handOver(ctx, b, c, wanted); err != nil {
		return err
	}
	var again lostPage
	var unfit []aside
	for i, row := range c.rows {
		c.rows[i].Data = nil
		if l.traces == nil {
			c.rows[i].Headers = nil
		}
		if row.Data == nil || !wanted.has(row) || before[event{row.Aggregate, row.Version}] {
			continue
		}
		m, err := l.Encode(row, b.Epoch)
		if err != nil {
			unfit = append(unfit, aside{row, c.dues[i], err.Error()})
		}
		if m != nil && l.Tasks && b.Kind == ledger.AgainBatch && wanted.sent(row) {
			again.addRun(row) // it is handed over by a new event, which counts as redelivery
			continue
		}
		c.entries[i].Message = m
	}
	foreign, err := l.foreign(ctx, c)
	if err != nil {
		return err
	}
	if err := l.setAside(ctx, append(unfit, foreign...)); err != nil {
		return err
	}
	if len(again.ids) > 0 {
		_, err = l.handAgain(ctx, again, *b.Since) // batches of kind again have a Since
	}
	return err
}

// foreign removes from a chunk the messages whose destination belongs to somebody else, and returns their rows to be
// set aside.
func (l *lane) foreign(ctx context.Context, c chunk) (unfit []aside, err error) {
	if l.Foreign == nil {
		return nil, nil
	}
	var runs []domain.ID
	var messages []*message.Message
	var at []int
	for i, e := range c.entries {
		if e.Message != nil {
			runs, messages, at = append(runs, c.rows[i].Aggregate), append(messages, e.Message), append(at, i)
		}
	}
	if len(messages) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	found, err := l.Foreign(ctx, runs, messages)
	if err != nil {
		return nil, err
	}
	for i := range messages {
		if why, ok := found[i]; ok {
			unfit = append(unfit, aside{c.rows[at[i]], c.dues[at[i]], why})
			c.entries[at[i]].Message = nil
		}
	}
	return unfit, nil
}
