package redis_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// Trust the ratios of this file, not the times: both sides run in turns, in one process, against one Redis.
const (
	rounds = 5
	amount = 50_000
	chunk  = 500
)

// compare runs both sides in turns and reports the median of the ratios of their rates.
func compare(b *testing.B, raw, ours func() time.Duration) {
	b.Helper()
	for b.Loop() {
		var ratios, rates []float64
		for range rounds {
			r, o := raw(), ours()
			ratios = append(ratios, r.Seconds()/o.Seconds())
			rates = append(rates, amount/o.Seconds())
		}
		slices.Sort(ratios)
		slices.Sort(rates)
		b.ReportMetric(ratios[rounds/2], "of-raw")
		b.ReportMetric(rates[rounds/2], "msg/s")
	}
}

// timed returns how long do takes on an empty database.
func timed(b *testing.B, client *goredis.Client, do func()) time.Duration {
	b.Helper()
	if err := client.FlushDB(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	do()
	return time.Since(began)
}

// payloads returns events of a realistic size.
func payloads(b *testing.B) (all []string) {
	b.Helper()
	for _, e := range batch(b, 1, chunk) {
		all = append(all, string(e.Message.Payload))
	}
	return all
}

// addRaw pipelines XADDs of prepared fields.
func addRaw(b *testing.B, client *goredis.Client) {
	b.Helper()
	ready := payloads(b)
	for range amount / chunk {
		add(b, client, ready...)
	}
}

// BenchmarkPublish compares publishing messages with a pipeline of XADDs.
func BenchmarkPublish(b *testing.B) {
	client := testenv.Redis(b)
	ready := payloads(b)
	compare(b,
		func() time.Duration { return timed(b, client, func() { addRaw(b, client) }) },
		func() time.Duration {
			p := publisher(b, client)
			return timed(b, client, func() {
				for range amount / chunk {
					if err := p.Publish(topic, texts(ready)...); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
}

// BenchmarkEventSink compares appending events as the relay does, with their notices, with a pipeline of XADDs.
func BenchmarkEventSink(b *testing.B) {
	client := testenv.Redis(b)
	compare(b,
		func() time.Duration { return timed(b, client, func() { addRaw(b, client) }) },
		func() time.Duration {
			sink := redis.NewEventSink(client, redis.EventConfig{Channel: "bench"})
			entries := batch(b, 0, chunk)
			return timed(b, client, func() {
				mark := relay.Mark{}
				for n := range int64(amount / chunk) {
					for i := range entries {
						entries[i].ID.Batch = n + 1
					}
					mark = fill(b, sink, mark, entries)
				}
			})
		})
}

// consume returns how long reading and acknowledging everything takes.
func consume(b *testing.B, client *goredis.Client, read func()) time.Duration {
	b.Helper()
	if err := client.FlushDB(b.Context()).Err(); err != nil {
		b.Fatal(err)
	}
	addRaw(b, client)
	if err := client.XGroupCreate(b.Context(), topic, "group", "0").Err(); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	read()
	return time.Since(began)
}

// BenchmarkSubscribe compares receiving and acknowledging messages with XREADGROUP and XACK of as many at a time.
func BenchmarkSubscribe(b *testing.B) {
	client := testenv.Redis(b)
	compare(b,
		func() time.Duration { return consume(b, client, func() { readRaw(b, client) }) },
		func() time.Duration {
			s := subscriber(b, client, redis.SubscriberConfig{})
			took := consume(b, client, func() {
				messages := subscribe(b, s)
				for range amount {
					receiveFast(b, messages).Ack()
				}
				awaitPending(b, client, 0)
			})
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
			return took
		})
}

func receiveFast(b *testing.B, messages <-chan *message.Message) *message.Message {
	m, ok := <-messages
	if !ok {
		b.Fatal("the channel was closed too early")
	}
	return m
}

func readRaw(b *testing.B, client *goredis.Client) {
	b.Helper()
	for left := amount; left > 0; {
		streams, err := client.XReadGroup(b.Context(), &goredis.XReadGroupArgs{
			Group: "group", Consumer: "raw", Streams: []string{topic, ">"}, Count: chunk, Block: -1,
		}).Result()
		if err != nil {
			b.Fatal(err)
		}
		ids := make([]string, len(streams[0].Messages))
		for i, m := range streams[0].Messages {
			ids[i] = m.ID
		}
		if err := client.XAck(b.Context(), topic, "group", ids...).Err(); err != nil {
			b.Fatal(err)
		}
		left -= len(ids)
	}
}
