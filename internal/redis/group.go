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

// create makes the group, to hear what comes after an ID. One that is there already stays as it is.
func (g group) create(ctx context.Context, after string) error {
	err := g.client.XGroupCreateMkStream(ctx, g.stream, g.name, after).Err()
	if hasCode(err, "BUSYGROUP") {
		return nil
	}
	return err
}

// reset makes the group anew, to hear what comes after an ID, and forgets what it had pending.
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

// read gives entries that nobody in the group has had yet (after is ">"), or those pending with us after an ID.
func (g group) read(ctx context.Context, after string, count int, block time.Duration) ([]goredis.XMessage, error) {
	streams, err := g.client.XReadGroup(ctx, &goredis.XReadGroupArgs{
		Group: g.name, Consumer: g.consumer, Streams: []string{g.stream, after}, Count: int64(count), Block: block,
	}).Result()
	if errors.Is(err, goredis.Nil) || len(streams) == 0 {
		return nil, unlessNil(err)
	}
	return streams[0].Messages, err
}

// claim takes over what has been pending for so long that its consumer must be dead. It gives where to go on.
func (g group) claim(ctx context.Context, from string, count int, idle time.Duration) ([]goredis.XMessage, string, error) {
	return g.client.XAutoClaim(ctx, &goredis.XAutoClaimArgs{
		Stream: g.stream, Group: g.name, Consumer: g.consumer, MinIdle: idle, Start: from, Count: int64(count),
	}).Result()
}

// hold tells that we are alive and still at work on entries, so that nobody claims them.
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

// setAside moves an entry to the dead letters of its stream, with the reason.
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

// DeadLetters is the stream of entries that could not be read from a stream. They have their own fields, and besides
// tactus-reason, tactus-stream, tactus-group and tactus-id.
func DeadLetters(stream string) string { return beside(stream, "deadletters") }

// end is the last ID that a stream has given out; "0-0" when there is no stream.
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
