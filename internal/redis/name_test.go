package redis_test

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestTwoFeedsOfOneName has two beats of one name: each hears every event, through a group of its own. A beat that
// comes after another has stopped gets the name at once.
func TestTwoFeedsOfOneName(t *testing.T) {
	t.Parallel()
	client := testenv.Redis(t)
	ctx, stop := context.WithCancel(t.Context())
	first := listen(t, ctx, client, "0-0")
	second, err := redis.NewFeed(client, "", "one", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Subscribe(t.Context(), "0-0", func(string) {}); err == nil {
		t.Fatal("two beats of one name share a group")
	}
	var messages <-chan *message.Message
	testenv.Eventually(t, "the second finds another name", func() (err error) {
		messages, err = second.Subscribe(t.Context(), "0-0", func(string) {})
		return err
	})
	if err := client.XAdd(t.Context(), &goredis.XAddArgs{Stream: redis.EventStream, ID: "1-1", Values: []any{"_watermill_message_uuid", "told", "metadata", "", "payload", "{}"}}).Err(); err != nil {
		t.Fatal(err)
	}
	if m := <-first.messages; m.UUID != "told" {
		t.Errorf("the first heard %s", m.UUID)
	} else {
		m.Ack()
	}
	if m := <-messages; m.UUID != "told" {
		t.Errorf("the second heard %s", m.UUID)
	} else {
		m.Ack()
	}
	stop()
	for range first.messages {
	}
	listen(t, t.Context(), client, "0-0")
}
