package redis_test

import (
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/tests"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// features are what of Watermill's own suite applies to our publisher and subscriber. What does not:
//
//   - ExactlyOnceDelivery: a consumer that dies before its acknowledgement arrives leaves the message to another one.
//   - GuaranteedOrder also means that no message is delivered before the one ahead of it is acknowledged. Ours delivers
//     up to two batches meanwhile, which is what makes it fast; order without that is held by TestWatermillInOrder.
//   - NewSubscriberReceivesOldMessages means that one group is given again what it has acknowledged, as a log whose
//     readers keep their own offset would. A group of Redis is not.
//   - ContextPreserved: a message's context does not leave the process. Its trace travels in the metadata.
//   - RestartServiceCommand restarts a broker of the machine. TestSubscriberOutlivesOutages kills a server of its own.
var features = tests.Features{ConsumerGroups: true, Persistent: true, GuaranteedOrderWithSingleSubscriber: true, ForceShort: true}

// pubSub makes pairs on one Redis; those of a group share its messages.
func pubSub(t *testing.T) tests.ConsumerGroupPubSubConstructor {
	t.Helper()
	client := testenv.Redis(t)
	return func(t *testing.T, group string) (message.Publisher, message.Subscriber) {
		s, err := redis.NewSubscriber(client, redis.SubscriberConfig{Group: group, Idle: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return redis.NewPublisher(client), s
	}
}

// inGroup makes pairs of one group.
func inGroup(t *testing.T) tests.PubSubConstructor {
	pair := pubSub(t)
	return func(t *testing.T) (message.Publisher, message.Subscriber) { return pair(t, "group") }
}

// TestWatermill runs Watermill's own suite for publishers and subscribers.
func TestWatermill(t *testing.T) {
	tests.TestPubSub(t, features, inGroup(t), pubSub(t))
}

// TestWatermillInOrder runs the suite's test of order, which asks for guaranteed order in one subscriber only.
func TestWatermillInOrder(t *testing.T) {
	t.Parallel()
	ordered := features
	ordered.GuaranteedOrder = true
	tests.TestPublishSubscribeInOrder(t, tests.TestContext{TestID: tests.NewTestID(), Features: ordered}, inGroup(t))
}
