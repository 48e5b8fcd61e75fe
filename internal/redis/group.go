package redis

import (
	"context"
	"errors"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// group is one consumer of one consumer group of a stream.
type group struct {
	client   goredis.UniversalClient
	stream   string
	name     string
	consumer string
}

// create creates the group, to receive the entries after an ID. A group that exists stays unchanged.
func (g group) create(ctx context.Context, after string) error {
	err := g.client.XGroupCreateMkStream(ctx, g.stream, g.name, after).Err()
	if hasCode(err, "BUSYGROUP") {
		return nil
	}
	return err
}

// reset creates the group anew, to receive the entries after an ID, without the entries that were pending in it.
func (g group) reset(ctx context.Context, after string) error {
	if err := g.create(ctx, after); err != nil {
		return err
	}
	_, err := g.client.TxPipelined(ctx, func(p goredis.Pipeliner) error {
		p.XGroupDestroy(ctx, g.stream, g.name)
		p.XGroupCreate(ctx, g.stream, g.name, after)
		return nil
	})
	return err
}

// read returns entries that no consumer of the group has received yet (after is ">"), or the entries pending with this
// consumer after an ID. A negative block does not wait.
func (g group) read(ctx context.Context, after string, count int, block time.Duration) ([]goredis.XMessage, error) {
	streams, err := g.client.XReadGroup(ctx, &goredis.XReadGroupArgs{
		Group: g.name, Consumer: g.consumer, Streams: []string{g.stream, after}, Count: int64(count), Block: block,
	}).Result()
	if errors.Is(err, goredis.Nil) || len(streams) == 0 {
		return nil, unlessNil(err)
	}
	return streams[0].Messages, err
}

// claim takes over entries that have been pending for so long that their consumer must be dead. It returns them and the
// ID to continue from, which is "0-0" when all pending entries have been looked at.
func (g group) claim(
	ctx context.Context, from string, count int, idle time.Duration,
) (entries []goredis.XMessage, next string, err error) {
	return g.client.XAutoClaim(ctx, &goredis.XAutoClaimArgs{
		Stream: g.stream, Group: g.name, Consumer: g.consumer, MinIdle: idle, Start: from, Count: int64(count),
	}).Result()
}

// hold resets the idle time of entries that this consumer still works on, so that no other consumer claims them.
func (g group) hold(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	return unlessNil(g.client.XClaimJustID(ctx, &goredis.XClaimArgs{
		Stream: g.stream, Group: g.name, Consumer: g.consumer, Messages: ids,
	}).Err())
}

func (g group) ack(ctx context.Context, ids ...string) error {
	return g.client.XAck(ctx, g.stream, g.name, ids...).Err()
}

// setAside copies an entry to the dead letters of its stream, with the reason, and acknowledges it.
func (g group) setAside(ctx context.Context, e goredis.XMessage, reason string) error {
	values := []any{"tactus-reason", reason, "tactus-stream", g.stream, "tactus-group", g.name, "tactus-id", e.ID}
	for name, value := range e.Values {
		values = append(values, name, value)
	}
	if err := g.client.XAdd(ctx, &goredis.XAddArgs{Stream: DeadLetters(g.stream), Values: values}).Err(); err != nil {
		return err
	}
	return g.ack(ctx, e.ID)
}

// DeadLetters returns the key of the stream that keeps copies of a stream's unreadable entries. A copy has the entry's
// own fields, and tactus-reason, tactus-stream, tactus-group and tactus-id.
func DeadLetters(stream string) string { return beside(stream, "deadletters") }

// end returns the stream's last-generated-id; "0-0" when there is no stream.
func (g group) end(ctx context.Context) (string, error) {
	info, err := g.client.XInfoStream(ctx, g.stream).Result()
	if isNoKey(err) {
		return "0-0", nil
	}
	if err != nil {
		return "", err
	}
	return info.LastGeneratedID, nil
}

func unlessNil(err error) error {
	if errors.Is(err, goredis.Nil) {
		return nil
	}
	return err
}

func hasCode(err error, code string) bool { return err != nil && strings.HasPrefix(err.Error(), code) }

func isNoKey(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "ERR no such key") }
