package verify_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

type encoder func(outbox.Row, string) (*message.Message, error)

// carry runs the real relay until the function that it returns is called.
func (w *world) carry(t *testing.T, encode encoder) (stop func()) {
	t.Helper()
	r, err := relay.New(w.pool, []relay.Route{{
		Name: sink, Topic: outbox.Schedules, Sink: redis.NewEventSink(w.redis, redis.EventConfig{}),
		Encode: encode, Announce: cloudevents.EpochStarted,
	}}, relay.Config{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// sound checks that there is no problem, after a wait for the relay.
func (w *world) sound(t *testing.T, what string) *verify.Report {
	t.Helper()
	report := w.check(t, verify.Config{Wait: testenv.Patience})
	if report.Found != 0 || report.Unpublished != 0 {
		t.Errorf("%s: %+v", what, report)
	}
	return report
}

// TestAnotherServersLog has a log that was restored from another server: its transaction numbers have no meaning here,
// or are in the future.
func TestAnotherServersLog(t *testing.T) {
	t.Parallel()
	for _, xid := range []string{"9000000000", "3"} {
		w := newWorld(t)
		stop := w.carry(t, cloudevents.Schedule)
		w.change(t, "a", 5)
		w.sound(t, "as it was")
		stop()
		w.sql(t, `update tactus.outbox set xid = $1::xid8`, xid)
		w.sql(t, `update tactus.relay_sinks set timeline = 'another'`)
		w.change(t, "b", 3)
		if report := w.check(t, verify.Config{Wait: 1}); report.Found != 1 || report.Problems[0].Kind != verify.RelayBehind {
			t.Errorf("while the relay is stopped: %+v", report)
		}
		stop = w.carry(t, cloudevents.Schedule)
		if report := w.sound(t, "restored"); report.StreamEntries < 8 {
			t.Errorf("%+v", report)
		}
		w.change(t, "b", 3)
		w.sound(t, "in the new epoch")
		entries := w.entries(t)
		for _, i := range []int{2, len(entries) - 8, len(entries) - 3, len(entries) - 1} {
			w.redis.XTrimMinID(t.Context(), stream, entries[i].ID)
			w.sound(t, "trimmed to "+entries[i].ID)
		}
		w.change(t, "b", 3)
		w.sound(t, "and on")
		stop()
		w.drop(t, 2)
		if kinds := kindsOf(w.check(t, verify.Config{})); !slices.Equal(kinds, []string{verify.EventMissing}) {
			t.Errorf("after an entry was deleted: %v", kinds)
		}
	}
}

// TestLostAndRepublished deletes the stream, in the first epoch and in the second.
func TestLostAndRepublished(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, cloudevents.Schedule)
	w.change(t, "a", 5)
	w.sound(t, "as it was")
	w.redis.FlushDB(t.Context())
	if report := w.sound(t, "republished"); report.StreamEntries != 5 {
		t.Errorf("%+v", report)
	}
	stop()
	w.sql(t, `update tactus.relay_sinks set timeline = 'another'`)
	stop = w.carry(t, cloudevents.Schedule)
	w.change(t, "a", 5)
	w.sound(t, "in the second epoch")
	w.redis.FlushDB(t.Context())
	w.sound(t, "republished in the third")
	stop()
}

// TestSetAsideIsNotLost has an event that cannot be encoded.
func TestSetAsideIsNotLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, func(row outbox.Row, epoch string) (*message.Message, error) {
		if row.Version == 3 {
			return nil, errors.New("this event cannot be encoded")
		}
		return cloudevents.Schedule(row, epoch)
	})
	defer stop()
	w.change(t, "a", 5)
	w.change(t, "b", 3)
	if report := w.sound(t, "with two set aside"); report.SetAside != 2 || report.StreamEntries != 6 {
		t.Errorf("%+v", report)
	}
}

// TestCalendarsAmongSchedules has events of calendars in the log and in the stream, and a row that lost its change.
func TestCalendarsAmongSchedules(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carry(t, cloudevents.Schedule)
	defer stop()
	w.change(t, "a", 2)
	store := outbox.NewStore(w.pool, "", handover.Limits{}.Check)
	for _, day := range []string{"2027-01-01", "2027-01-02"} {
		c := domain.Calendar{Name: "closed", Days: []calendar.Item{{From: day}}}
		if _, _, err := store.PutCalendar(t.Context(), c, 0); err != nil {
			t.Fatal(err)
		}
	}
	if report := w.sound(t, "with a calendar"); report.StreamEntries != 4 {
		t.Errorf("%+v", report)
	}
	w.sql(t, `update tactus.calendars set version = 1`)
	if kinds := kindsOf(w.check(t, verify.Config{})); !slices.Equal(kinds, []string{verify.ProjectionDiffers}) {
		t.Errorf("after a change was lost: %v", kinds)
	}
}
