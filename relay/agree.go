package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// agreement is the state of the ledger and of a sink on which a relay has agreed with both.
type agreement struct {
	state     ledger.State
	reader    *ledger.Reader
	mark      Mark // the mark from which to continue; the zero Mark if at counts as lost
	at        Mark // the mark that the sink really has
	readAfter ID   // the place behind which rows are read
}

// A mark of a task sink beyond these bounds was not made by tactus: PostgreSQL may have lost the end of the log, but
// never mostAhead batches, and no log reaches the batch number mostForeign.
const (
	mostAhead   = 1 << 40
	mostForeign = 1 << 62
)

// beyond reports whether a mark is beyond these bounds, and therefore counts as lost. Otherwise tasks that the sink
// never had would be taken for handed over, and PostgreSQL might have no numbers left for further batches.
func beyond(l ledger.State, m Mark) bool {
	ahead := m.Last.Batch - l.End().Batch
	return ahead > mostAhead && l.Registered || ahead > 0 && m.Last.Batch > mostForeign
}

// mostAttempts is how often another relay may be faster in a row before agree gives up.
const mostAttempts = 20

// errNoAgreement means that another relay keeps moving the sink.
var errNoAgreement = errors.New("the sink and the log do not come to agree")

// agree looks at the ledger and the sink, and does what reconcile says, until reconcile says resume. Of the two it
// reads the ledger first: entries that the sink takes between the reads only make the sink seem ahead, and look then
// reads the ledger once more. In the other order such entries could make the sink seem to have lost something.
func (l *lane) agree(ctx context.Context) (agreement, error) {
	if err := l.claim(ctx); err != nil {
		return agreement{}, err
	}
	for range mostAttempts {
		s, v, err := l.look(ctx)
		if err == nil {
			switch v.do {
			case refuse:
				return s, errors.New(v.why)
			case resume:
				return s, l.noteOwner(ctx, s.mark)
			case moveSink:
				err = l.moveSink(ctx, s.at, v.to)
			case cutAgain:
				err = l.cutAgain(ctx, s, v.why)
			case regain:
				err = l.regain(ctx, s)
			case beginEpoch:
				err = l.beginEpoch(ctx, s, v.why)
			}
		}
		if err != nil && !overtaken(err) {
			return s, err
		}
	}
	return agreement{}, errNoAgreement
}

// refused records the owner of the sink, if why is the refusal of a sink that belongs to another owner. It returns why.
func (l *lane) refused(ctx context.Context, why error) error {
	var refusal Refusal
	if !errors.As(why, &refusal) {
		return why
	}
	place, owner := refusal.Owner()
	if err := ledger.Refuse(ctx, l.db, place, owner); err != nil {
		return errors.Join(why, err)
	}
	return why
}

// noteOwner makes the sink record its owner without being moved. The owner may be missing because an older release did
// not record it; and without it, a copy of this database at the same mark could fill the sink.
func (l *lane) noteOwner(ctx context.Context, at Mark) error {
	if _, ok := l.Sink.(Claimer); !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	err := l.Sink.Begin(ctx, at, at)
	if _, moved := errors.AsType[*Mismatch](err); moved {
		return nil // another relay has moved the sink: publish finds out
	}
	return err
}

// overtaken reports whether an error only means that another relay was faster.
func overtaken(err error) bool {
	if _, ok := errors.AsType[*Mismatch](err); ok || errors.Is(err, errMoved) {
		return true
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.ConstraintName == "relay_batches_pkey"
}

func (l *lane) look(ctx context.Context) (s agreement, v verdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if s.state, err = ledger.ReadState(ctx, l.db, l.Name); err != nil {
		return s, v, err
	}
	if s.state.Registered && s.state.Topic != l.Topic {
		return s, v, fmt.Errorf("the sink is registered with topic %q", s.state.Topic)
	}
	if s.mark, err = l.Sink.Mark(ctx); err != nil {
		return s, v, l.refused(ctx, err)
	}
	if ahead(s.state, s.mark) {
		// Another relay may have cut a batch and appended it since the ledger was read.
		now, err := ledger.ReadState(ctx, l.db, l.Name)
		if err == nil && !ahead(now, s.mark) {
			err = errMoved
		}
		if err != nil {
			return s, v, err
		}
	}
	if s.at = s.mark; l.Tasks && beyond(s.state, s.mark) {
		s.mark = Mark{}
	}
	s.reader = s.state.Reader(l.db, l.Name, l.Topic, l.patience).Only(l.Route.Only)
	s.readAfter = readAfter(s.state, s.mark, l.Tasks)
	return s, reconcile(s.state, s.mark, l.Tasks), nil
}

// moveSink moves the sink to another mark: into another epoch, or behind the entries that it has lost.
func (l *lane) moveSink(ctx context.Context, at, to Mark) error {
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	if err := l.Sink.Begin(ctx, at, to); err != nil {
		return err
	}
	l.log.Info("sink begins", "sink", l.Name, "epoch", to.Epoch, "after", to.Last.String())
	return nil
}

// cutAgain cuts the batch from which a task sink that has lost its mark continues. The sink is moved to this batch by
// the next round of agree, so a crash in between does not lose the batch.
func (l *lane) cutAgain(ctx context.Context, s agreement, why string) error {
	batch, err := l.batchOf(ctx, s.state.Confirmed)
	if err != nil {
		return err
	}
	b, cut, err := s.reader.Again(ctx, s.state.Newest, batch.After(s.state.Confirmed), s.state.Now.Add(-l.Redeliver))
	if err != nil {
		return err
	}
	if cut && b.Kind == ledger.AgainBatch {
		l.log.Warn("tasks may be handed over again", "sink", l.Name, "reason", why, "at", s.mark.Last.String(), "confirmed",
			s.state.Confirmed, "batch", b.Number)
	}
	return nil
}

// batchOf returns the batch that a place is in, or the oldest batch if that batch is no longer kept.
func (l *lane) batchOf(ctx context.Context, p ledger.ID) (ledger.Batch, error) {
	b, found, err := ledger.BatchUpTo(ctx, l.db, l.Name, p.Batch)
	if err == nil && !found {
		b, found, err = ledger.BatchFrom(ctx, l.db, l.Name, 0)
	}
	if err == nil && !found {
		b = ledger.Batch{Previous: outbox.Nothing, Snapshot: outbox.Nothing}
	}
	return b, err
}

// beginEpoch begins an epoch, whose first batch has the rows that the sink may lack.
func (l *lane) beginEpoch(ctx context.Context, s agreement, why string) error {
	if err := l.confirmTaken(ctx, s); err != nil {
		return err
	}
	o := ledger.Opening{
		Sink: l.Name, Topic: l.Topic, Was: s.state.Epoch, Epoch: rand.Text()[:10], Kind: ledger.EpochBatch,
		Number: max(s.state.Newest.Number, s.mark.Last.Batch) + 1, After: s.mark.Last, Previous: outbox.Nothing,
		Patience: l.patience, Reason: why,
		WentBack: s.state.Registered && (!s.state.Same || s.state.WentBack || ahead(s.state, s.mark)),
	}
	if !s.state.Registered && s.mark == (Mark{}) {
		o.Kind = ledger.FirstBatch
	}
	if s.state.Registered {
		if err := l.reach(ctx, s, &o); err != nil {
			return err
		}
	}
	made, err := ledger.Open(ctx, l.db, o)
	if err == nil && made {
		level := slog.LevelInfo
		if o.Kind == ledger.EpochBatch {
			level = slog.LevelWarn
		}
		l.log.Log(ctx, level, "epoch started", "sink", l.Name, "epoch", o.Epoch, "reason", why, "at", s.mark.Last,
			"batch", o.Number)
	}
	return err
}

// reach sets how far back the first batch of an epoch reaches: for events, an hour before the last event of the sink;
// for tasks, only to rows that the sink was not given. If the ledger does not know what a task sink was given, the
// batch has those tasks of the last Redeliver that are not recorded as handed over.
func (l *lane) reach(ctx context.Context, s agreement, o *ledger.Opening) error {
	place, since := s.mark.Last, s.state.Now.Add(-l.Redeliver)
	switch {
	case l.Tasks && lost(s.state, s.mark):
		place, o.Kind, o.Since = s.state.Confirmed, ledger.AgainBatch, &since
	case l.Tasks && (ahead(s.state, s.mark) || stray(s.state, s.mark)):
		o.Since = &since
	}
	ctx, cancel := context.WithTimeout(ctx, l.patience)
	defer cancel()
	b, err := l.batchOf(ctx, place)
	if err != nil {
		return err
	}
	o.Previous = b.After(place)
	if !l.Tasks {
		o.Replay = b.Number
		o.From, err = l.owed(ctx, s)
	}
	return err
}
