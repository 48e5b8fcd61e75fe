package redis_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func TestMain(m *testing.M) { testenv.Main(m) }

const epoch = "k3v9"

// row returns the nth event, which has a schedule of its own.
func row(n int) outbox.Row {
	id := domain.ID{0: 1, 14: byte(n >> 8), 15: byte(n)}
	return outbox.Row{
		Position: int64(n), Aggregate: id, Version: 1, Type: domain.ScheduleCreated, At: time.Unix(1_790_000_000, 0),
		Data: json.RawMessage(fmt.Sprintf(`{"id":%q,"version":1,"name":"schedule %d"}`, id, n)),
	}
}

// batch returns n entries of a batch, with events.
func batch(t testing.TB, number int64, n int) []relay.Entry {
	t.Helper()
	entries := make([]relay.Entry, n)
	for i := range entries {
		m, err := cloudevents.Schedule(row(i+1), epoch)
		if err != nil {
			t.Fatal(err)
		}
		entries[i] = relay.Entry{ID: relay.ID{Batch: number, Seq: int64(i + 1)}, Message: m}
	}
	return entries
}

func at(batch, seq int64) relay.Mark {
	return relay.Mark{Epoch: epoch, Last: relay.ID{Batch: batch, Seq: seq}}
}

func wantMark(t testing.TB, s relay.Sink, want relay.Mark) {
	t.Helper()
	if got, err := s.Mark(t.Context()); err != nil || got != want {
		t.Fatalf("the sink is at %+v, %v; want %+v", got, err, want)
	}
}

// begin begins an epoch on a new sink.
func begin(t testing.TB, s relay.Sink) {
	t.Helper()
	if err := s.Begin(t.Context(), relay.Mark{}, at(0, 0)); err != nil {
		t.Fatal(err)
	}
}

// fill appends entries, and fails t unless all of them were written.
func fill(t testing.TB, s relay.Sink, from relay.Mark, entries []relay.Entry) relay.Mark {
	t.Helper()
	now, err := s.Append(t.Context(), from, entries)
	if want := (relay.Mark{Epoch: from.Epoch, Last: entries[len(entries)-1].ID}); err != nil || now != want {
		t.Fatalf("after the append the sink is at %+v, %v; want %+v", now, err, want)
	}
	return now
}

func text(payload string) *message.Message { return message.NewMessage("m-"+payload, []byte(payload)) }
