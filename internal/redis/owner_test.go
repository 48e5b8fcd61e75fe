package redis_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/ledger"
)

// ownedSink is implemented by both sinks.
type ownedSink interface {
	relay.Sink
	relay.Claimer
	TakeOver(ctx context.Context) (installation string, err error)
}

// TestSinkOfAnotherInstallation has two installations, and a copy of one of them, use the same keys.
func TestSinkOfAnotherInstallation(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		client := testenv.Redis(t)
		of := func(installation, server string) ownedSink {
			s := k.make(t, client).(ownedSink)
			s.Claim(ledger.Owner{Installation: installation, Server: server})
			return s
		}
		ours, theirs, copied := of("ours", "1/1"), of("theirs", "1/1"), of("ours", "2/1")
		refused := func(s relay.Sink, want string) {
			t.Helper()
			_, err := s.Mark(t.Context())
			got := ""
			if _, ok := errors.AsType[*redis.Foreign](err); ok {
				got = "foreign"
			} else if _, ok := errors.AsType[*redis.Replaced](err); ok {
				got = "replaced"
			} else if err != nil {
				got = err.Error()
			}
			if got != want {
				t.Errorf("%T: got %q, want %q: %v", s, got, want, err)
			}
		}
		begin(t, ours)
		mark := fill(t, ours, at(0, 0), k.entries(t, 1, 2))
		refused(theirs, "foreign")
		refused(copied, "")
		if err := copied.Begin(t.Context(), mark, relay.Mark{Epoch: "copy", Last: mark.Last}); err != nil {
			t.Fatal(err)
		}
		refused(copied, "")
		refused(ours, "replaced")
		refused(of("ours", ""), "") // a standby: the relay itself refuses it

		if was, err := theirs.TakeOver(t.Context()); err != nil || was != "ours" {
			t.Errorf("they took over from %q, %v", was, err)
		}
		refused(theirs, "")
		refused(ours, "foreign")
		refused(copied, "foreign")
		if was, err := ours.TakeOver(t.Context()); err != nil || was != "theirs" {
			t.Errorf("we took over from %q, %v", was, err)
		}
		refused(ours, "")
		refused(copied, "replaced") // the list has its server, so it is not a new copy
		refused(k.make(t, client), "")
	})
}

// TestSinkOfNobody has a sink that was filled by a version that wrote no owner: the installation that goes on with it
// becomes its owner.
func TestSinkOfNobody(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		client := testenv.Redis(t)
		former, ours, theirs := k.make(t, client), k.make(t, client).(ownedSink), k.make(t, client).(ownedSink)
		begin(t, former)
		mark := fill(t, former, at(0, 0), k.entries(t, 1, 2))
		ours.Claim(ledger.Owner{Installation: "ours", Server: "1/1"})
		theirs.Claim(ledger.Owner{Installation: "theirs", Server: "1/1"})
		wantMark(t, ours, mark)
		wantMark(t, theirs, mark)
		if err := ours.Begin(t.Context(), mark, mark); err != nil {
			t.Fatal(err)
		}
		if _, err := theirs.Mark(t.Context()); err == nil {
			t.Error("another installation is not refused")
		}
		wantMark(t, ours, mark)
	})
}
