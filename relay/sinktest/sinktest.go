// Package sinktest is the conformance suite of relay.Sink. The author of a sink runs it in a test, against the server
// that the sink really writes to.
//
//	func TestSink(t *testing.T) {
//		sinktest.Run(t, func(t *testing.T) sinktest.Subject {
//			place := newPlace(t) // empty
//			return sinktest.Subject{
//				Open:     func(t *testing.T) relay.Sink { return NewSink(place) },
//				Message:  func(payload string) *message.Message { return message.NewMessage("id of "+payload, []byte(payload)) },
//				Payloads: func(t *testing.T) []string { return place.all(t) },
//			}
//		})
//	}
//
// The suite tests what the relay relies on for its own promises: an append that is repeated, that comes from a replaced
// relay, or that loses a race against another one writes nothing, and returns the sink's real mark.
package sinktest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/relay"
)

// Subject is an empty destination, and how to make sinks that write to it.
type Subject struct {
	// Open makes a sink for the destination, as another process would: the sink has no knowledge except from there.
	Open func(t *testing.T) relay.Sink
	// Message makes a message that the sink accepts.
	Message func(payload string) *message.Message
	// Payloads returns the payloads of all messages at the destination, in their order.
	Payloads func(t *testing.T) []string
	// AtLeastOnce is set for a sink that cannot compare and write in one step, so that racing relays may both write.
	AtLeastOnce bool
}

// Run runs the suite. Each of its tests has a subject of its own.
func Run(t *testing.T, subject func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(w *world)
	}{
		{"a new sink is nowhere", newIsNowhere},
		{"begin needs the mark", beginNeedsTheMark},
		{"appended in order", appendsInOrder},
		{"appended again, nothing is written", appendsOnce},
		{"a replaced relay writes nothing", refusesTheReplaced},
		{"entries without a message take their places", skipsPlaces},
		{"a new epoch keeps what is there", keepsWhatIsThere},
		{"the mark outlives the process", outlivesTheProcess},
		{"many entries", takesMany},
		{"relays that race", raced},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := subject(t)
			c.test(&world{T: t, Subject: s, sink: s.Open(t)})
		})
	}
}

// world is a subject with a sink.
type world struct {
	*testing.T
	Subject
	sink relay.Sink
}

const epoch = "first"

// at is a mark in the first epoch.
func at(batch, seq int64) relay.Mark {
	return relay.Mark{Epoch: epoch, Last: relay.ID{Batch: batch, Seq: seq}}
}

func (w *world) begin() {
	w.Helper()
	if err := w.sink.Begin(w.Context(), relay.Mark{}, at(0, 0)); err != nil {
		w.Fatalf("begin the first epoch: %v", err)
	}
}

// batch returns n entries of a batch, whose payloads are their IDs.
func (w *world) batch(number int64, n int) (entries []relay.Entry) {
	for seq := range int64(n) {
		id := relay.ID{Batch: number, Seq: seq + 1}
		entries = append(entries, relay.Entry{ID: id, Message: w.Message(id.String())})
	}
	return entries
}

// payloads returns the payloads of batches of the given sizes, numbered from 1.
func payloads(sizes ...int) (all []string) {
	for number, n := range sizes {
		for seq := range n {
			all = append(all, fmt.Sprintf("%d-%d", number+1, seq+1))
		}
	}
	return all
}

// appends appends entries, and fails the test unless the sink accepts them.
func (w *world) appends(from relay.Mark, entries []relay.Entry) relay.Mark {
	w.Helper()
	want := relay.Mark{Epoch: from.Epoch, Last: entries[len(entries)-1].ID}
	if got, err := w.sink.Append(w.Context(), from, entries); err != nil || got != want {
		w.Fatalf("append from %+v: the sink is at %+v, %v; want %+v", from, got, err, want)
	}
	return want
}

func (w *world) isAt(want relay.Mark) {
	w.Helper()
	if got, err := w.sink.Mark(w.Context()); err != nil || got != want {
		w.Fatalf("the sink is at %+v, %v; want %+v", got, err, want)
	}
}

func (w *world) has(want []string) {
	w.Helper()
	if got := w.Payloads(w.T); !slices.Equal(got, want) {
		w.Errorf("%d messages are there, want %d: %.300v, want %.300v", len(got), len(want), got, want)
	}
}

// mismatches checks that an error is a Mismatch with the sink's real mark.
func (w *world) mismatches(what string, err error, real relay.Mark) {
	w.Helper()
	if mismatch, ok := errors.AsType[*relay.Mismatch](err); !ok || mismatch.Real != real {
		w.Errorf("%s: %v; want a mismatch that says %+v", what, err, real)
	}
}

func newIsNowhere(w *world) {
	w.isAt(relay.Mark{})
	_, err := w.sink.Append(w.Context(), at(0, 0), w.batch(1, 1))
	w.mismatches("an append before the epoch has begun", err, relay.Mark{})
	w.isAt(relay.Mark{})
	w.has(nil)
}

func beginNeedsTheMark(w *world) {
	w.begin()
	w.isAt(at(0, 0))
	w.mismatches("begin again", w.sink.Begin(w.Context(), relay.Mark{}, relay.Mark{Epoch: "second"}), at(0, 0))
	w.mismatches("begin from elsewhere",
		w.sink.Begin(w.Context(), at(3, 1), relay.Mark{Epoch: "second", Last: relay.ID{Batch: 4}}), at(0, 0))
	w.isAt(at(0, 0))
}

func appendsInOrder(w *world) {
	w.begin()
	now := w.appends(at(0, 0), w.batch(1, 3))
	now = w.appends(now, w.batch(2, 2))
	w.isAt(now)
	w.has(payloads(3, 2))
}

func appendsOnce(w *world) {
	w.begin()
	now := w.appends(at(0, 0), w.batch(1, 3))
	_, err := w.sink.Append(w.Context(), at(0, 0), w.batch(1, 3))
	w.mismatches("the same append again", err, now)
	_, err = w.sink.Append(w.Context(), at(1, 2), w.batch(1, 3)[2:])
	w.mismatches("the end of that append again", err, now)
	w.isAt(now)
	w.has(payloads(3))
}

// refusesTheReplaced tests a relay that was stopped in one epoch and resumes in the next.
func refusesTheReplaced(w *world) {
	w.begin()
	before := w.appends(at(0, 0), w.batch(1, 2))
	replaced, next := w.Open(w.T), relay.Mark{Epoch: "second", Last: relay.ID{Batch: 5}}
	if err := w.sink.Begin(w.Context(), before, next); err != nil {
		w.Fatalf("begin the second epoch: %v", err)
	}
	_, err := replaced.Append(w.Context(), before, w.batch(2, 2))
	w.mismatches("an append in the epoch before", err, next)
	w.mismatches("a begin in the epoch before",
		replaced.Begin(w.Context(), before, relay.Mark{Epoch: "third", Last: relay.ID{Batch: 7}}), next)
	w.isAt(next)
	w.has(payloads(2))
}

func skipsPlaces(w *world) {
	w.begin()
	entries := w.batch(1, 5)
	entries[0].Message, entries[2].Message, entries[4].Message = nil, nil, nil
	now := w.appends(at(0, 0), entries)
	w.isAt(now)
	w.has([]string{"1-2", "1-4"})
	none := w.batch(2, 2)
	none[0].Message, none[1].Message = nil, nil
	w.isAt(w.appends(now, none))
	w.has([]string{"1-2", "1-4"})
}

func keepsWhatIsThere(w *world) {
	w.begin()
	now := w.appends(at(0, 0), w.batch(1, 2))
	next := relay.Mark{Epoch: "second", Last: relay.ID{Batch: 4}}
	if err := w.sink.Begin(w.Context(), now, next); err != nil {
		w.Fatalf("begin the second epoch: %v", err)
	}
	w.isAt(w.appends(next, w.batch(5, 1)))
	w.has(append(payloads(2), "5-1"))
}

func outlivesTheProcess(w *world) {
	w.begin()
	now := w.appends(at(0, 0), w.batch(1, 2))
	w.sink = w.Open(w.T)
	w.isAt(now)
	w.appends(now, w.batch(2, 1))
	w.has(payloads(2, 1))
}

func takesMany(w *world) {
	const many = 1500
	w.begin()
	w.isAt(w.appends(at(0, 0), w.batch(1, many)))
	w.has(payloads(many))
}

// raced lets several relays append batch after batch, each from the mark that it believes to be the sink's.
func raced(w *world) {
	const relays, batches = 4, 20
	w.begin()
	var racing sync.WaitGroup
	for range relays {
		sink := w.Open(w.T)
		racing.Go(func() { w.race(sink, batches) })
	}
	racing.Wait()
	w.isAt(at(batches, 3))
	var want []int
	for range batches {
		want = append(want, 3)
	}
	got := w.Payloads(w.T)
	if w.AtLeastOnce {
		got = firsts(got)
	}
	if !reflect.DeepEqual(got, payloads(want...)) {
		w.Errorf("there are %d messages: %.300v", len(got), got)
	}
}

// race appends until all batches are there.
func (w *world) race(sink relay.Sink, batches int64) {
	now := at(0, 0)
	for now.Last.Batch < batches {
		next, err := sink.Append(w.Context(), now, w.batch(now.Last.Batch+1, 3))
		if mismatch, ok := errors.AsType[*relay.Mismatch](err); ok {
			next, err = mismatch.Real, nil
		}
		if err != nil {
			w.Errorf("append from %+v: %v", now, err)
			return
		}
		now = next
	}
}

// firsts returns the first occurrence of each payload.
func firsts(all []string) (kept []string) {
	seen := map[string]bool{}
	for _, payload := range all {
		if !seen[payload] {
			kept = append(kept, payload)
		}
		seen[payload] = true
	}
	return kept
}
