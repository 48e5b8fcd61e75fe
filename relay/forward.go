package relay

import (
	"context"
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// forwarded is a sink that publishes by a Watermill publisher.
type forwarded struct {
	publisher   message.Publisher
	db          *pgxpool.Pool
	name, topic string
}

// Forward makes a sink of any Watermill publisher, for example one for Kafka or NATS. A publisher cannot say what it
// has published, so the sink keeps its mark in PostgreSQL, under its name. What was published just before a crash may
// be published again: the sink delivers at least once, in order. The caller closes the publisher. Package
// relay/cloudevents has the encoder of events.
//
// The program tactus does not use Forward: its own sinks are scripts in Redis, which compare the mark and append in one
// step, and so publish once. Forward is for programs that import this package to carry the log to another broker. It
// passes the same conformance suite as every sink (package relay/sinktest).
func Forward(publisher message.Publisher, db *pgxpool.Pool, name, topic string) (Sink, error) {
	if publisher == nil || db == nil || name == "" || topic == "" {
		return nil, errors.New("forward: want a publisher, a pool, the name of the sink and a topic")
	}
	return &forwarded{publisher, db, name, topic}, nil
}

const readForwardSQL = `select epoch, batch, place from tactus.relay_forwards where sink = $1`

// Mark implements Sink.
func (f *forwarded) Mark(ctx context.Context) (m Mark, err error) {
	err = f.db.QueryRow(ctx, readForwardSQL, f.name).Scan(&m.Epoch, &m.Last.Batch, &m.Last.Seq)
	if errors.Is(err, pgx.ErrNoRows) {
		return Mark{}, nil
	}
	if err != nil {
		return Mark{}, fmt.Errorf("read the mark of %s: %w", f.name, err)
	}
	return m, nil
}

// Append implements Sink. It cannot compare and publish in one step: if another relay publishes between the two, both
// have published.
func (f *forwarded) Append(ctx context.Context, at Mark, entries []Entry) (Mark, error) {
	real, err := f.Mark(ctx)
	if err != nil {
		return Mark{}, err
	}
	if real != at {
		return real, &Mismatch{Real: real}
	}
	var messages []*message.Message
	for _, e := range entries {
		if e.Message != nil {
			messages = append(messages, e.Message)
		}
	}
	if len(messages) > 0 {
		if err := f.publisher.Publish(f.topic, messages...); err != nil {
			return Mark{}, fmt.Errorf("publish to %s: %w", f.topic, err)
		}
	}
	to := Mark{at.Epoch, entries[len(entries)-1].ID}
	return to, f.move(ctx, at, to)
}

// Begin implements Sink.
func (f *forwarded) Begin(ctx context.Context, from, to Mark) error { return f.move(ctx, from, to) }

const moveForwardSQL = `
insert into tactus.relay_forwards as f (sink, epoch, batch, place) values (@sink, @epoch, @batch, @place)
on conflict (sink) do update set epoch = excluded.epoch, batch = excluded.batch, place = excluded.place
where f.epoch = @from_epoch and f.batch = @from_batch and f.place = @from_place`

func (f *forwarded) move(ctx context.Context, from, to Mark) error {
	tag, err := f.db.Exec(ctx, moveForwardSQL, pgx.NamedArgs{
		"sink": f.name, "epoch": to.Epoch, "batch": to.Last.Batch, "place": to.Last.Seq,
		"from_epoch": from.Epoch, "from_batch": from.Last.Batch, "from_place": from.Last.Seq,
	})
	if err != nil {
		return fmt.Errorf("keep the mark of %s: %w", f.name, err)
	}
	if tag.RowsAffected() > 0 {
		return nil
	}
	real, err := f.Mark(ctx)
	if err != nil {
		return err
	}
	return &Mismatch{Real: real}
}
