package redis_test

import (
	"maps"
	"testing"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// said is the content of a message.
type said struct {
	UUID, Payload string
	Metadata      map[string]string
}

func say(m *message.Message) said {
	s := said{m.UUID, string(m.Payload), map[string]string{}}
	maps.Copy(s.Metadata, m.Metadata)
	return s
}

// samples returns messages with the contents that a wire format is likely to get wrong.
func samples() (messages []*message.Message, want []said) {
	for _, payload := range []string{"", "text", "\x00\xff binary \r\n", `{"json":"日報"}`} {
		m := message.NewMessage("uuid of "+payload, []byte(payload))
		messages, want = append(messages, m), append(want, say(m))
		c := message.NewMessage("metadata of "+payload, []byte(payload))
		c.Metadata = message.Metadata{"traceparent": "00-0af7", "": "empty name", "bytes": "\x00\xff", "empty": ""}
		messages, want = append(messages, c), append(want, say(c))
	}
	return messages, want
}

func stockSubscriber(t *testing.T, client goredis.UniversalClient) message.Subscriber {
	t.Helper()
	s, err := redisstream.NewSubscriber(redisstream.SubscriberConfig{
		Client: client, ConsumerGroup: "stock", DisableIndefiniteInitialBlock: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stockPublisher(t *testing.T, client goredis.UniversalClient) message.Publisher {
	t.Helper()
	p, err := redisstream.NewPublisher(redisstream.PublisherConfig{Client: client}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// listenTo receives n messages of a topic.
func listenTo(t *testing.T, s message.Subscriber, topic string, n int) (got []said) {
	t.Helper()
	messages, err := s.Subscribe(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	for range n {
		m := receive(t, messages)
		got = append(got, say(m))
		m.Ack()
	}
	return got
}

// TestStockPairUnderstandsUs shows that the wire formats are the same: both subscribers read each publisher.
func TestStockPairUnderstandsUs(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	// The first stock publisher or subscriber that closes also closes theirs.
	ours, theirs := testenv.Client(t, url), stranger(t, url)
	for name, p := range map[string]message.Publisher{"our publisher": publisher(t, ours), "stock publisher": stockPublisher(t, theirs)} {
		messages, want := samples()
		if err := p.Publish(name, messages...); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, listenTo(t, subscriber(t, ours, redis.SubscriberConfig{}), name, len(want))); diff != "" {
			t.Errorf("%s, our subscriber: %s", name, diff)
		}
		if diff := cmp.Diff(want, listenTo(t, stockSubscriber(t, theirs), name, len(want))); diff != "" {
			t.Errorf("%s, stock subscriber: %s", name, diff)
		}
	}
}

// stranger returns a client that whoever it is passed to closes.
func stranger(t *testing.T, url string) *goredis.Client {
	t.Helper()
	options, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	return goredis.NewClient(options)
}

// TestStockSubscriberReadsTheSinks reads the event stream and a task stream that the relay's sinks wrote.
func TestStockSubscriberReadsTheSinks(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	client := testenv.Client(t, url)
	events := batch(t, 1, 5)
	events[2].Message.Metadata.Set("traceparent", "00-0af7")
	fill(t, eventSink(t, client), at(0, 0), events)
	var want []said
	for _, e := range events {
		want = append(want, say(e.Message))
	}
	if diff := cmp.Diff(want, listenTo(t, stockSubscriber(t, stranger(t, url)), redis.EventStream, len(want))); diff != "" {
		t.Errorf("events: %s", diff)
	}

	sink := taskSink(t, client)
	begin(t, sink)
	entries := tasks(1, "stream a", "stream b")
	entries[0].Message.Metadata.Set("traceparent", "00-0af7")
	fill(t, sink, at(0, 0), entries)
	want = []said{
		{"m-stream a", "stream a", map[string]string{"traceparent": "00-0af7"}},
		{"m-stream b", "stream b", map[string]string{}},
	}
	if diff := cmp.Diff(want, listenTo(t, stockSubscriber(t, stranger(t, url)), "jobs", len(want))); diff != "" {
		t.Errorf("tasks: %s", diff)
	}
}
