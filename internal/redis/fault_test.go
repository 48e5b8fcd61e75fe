package redis_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/relay"
)

// kind is one of the two kinds of sink, for tests that run on both.
type kind struct {
	make    func(t testing.TB, client goredis.UniversalClient) relay.Sink
	entries func(t testing.TB, batch int64, n int) []relay.Entry
	held    func(t testing.TB, client goredis.UniversalClient) []string // what the sink has written, in order
}

var kinds = map[string]kind{
	"events": {
		func(t testing.TB, client goredis.UniversalClient) relay.Sink {
			return redis.NewEventSink(client, redis.EventConfig{})
		},
		batch,
		ids,
	},
	"tasks": {
		func(t testing.TB, client goredis.UniversalClient) relay.Sink { return taskSink(t, client) },
		func(t testing.TB, batch int64, n int) []relay.Entry {
			payloads := make([]string, n)
			for i := range payloads {
				payloads[i] = fmt.Sprintf("%d-%d", batch, i+1)
			}
			return tasks(batch, payloads...)
		},
		func(t testing.TB, client goredis.UniversalClient) []string { return queue(t, client, "celery") },
	},
}

func eachKind(t *testing.T, test func(t *testing.T, k kind)) {
	t.Parallel()
	for name, k := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, k)
		})
	}
}

func wantHeld(t *testing.T, k kind, client goredis.UniversalClient, want []string) {
	t.Helper()
	if got := k.held(t, client); !slices.Equal(got, want) {
		t.Errorf("%d entries were written: %.200v; want %d: %.200v", len(got), got, len(want), want)
	}
}

// span returns the IDs of a batch from one row to another.
func span(batch int64, from, to int) (all []string) {
	for seq := from; seq <= to; seq++ {
		all = append(all, fmt.Sprintf("%d-%d", batch, seq))
	}
	return all
}

// serverFault returns an error unless err is one for which the relay sets nothing aside.
func serverFault(err error) error {
	if err == nil {
		return errors.New("there is no error")
	}
	if _, ok := errors.AsType[*relay.Refused](err); ok {
		return fmt.Errorf("the error sets an entry aside: %w", err)
	}
	if _, ok := errors.AsType[*relay.Mismatch](err); ok {
		return fmt.Errorf("the error is a mismatch: %w", err)
	}
	return nil
}

// TestSinkRestartedEmpty and the tests that follow lose data below a sink: the sink must return an older mark, and take
// all entries again.
func TestSinkRestartedEmpty(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		server := testenv.RedisServer(t, nil)
		client := testenv.Client(t, server.URL(0))
		sink := k.make(t, client)
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Append(t.Context(), at(1, 5), k.entries(t, 2, 5)); !isMismatch(err, relay.Mark{}) {
			t.Fatalf("an append to a sink that lost all: %v", err)
		}
		wantMark(t, sink, relay.Mark{})
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))
		fill(t, sink, at(1, 5), k.entries(t, 2, 5))
		wantHeld(t, k, client, slices.Concat(span(1, 1, 5), span(2, 1, 5)))
	})
}

func TestSinkBackWithAStaleCopy(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		server := testenv.RedisServer(t, nil)
		client := testenv.Client(t, server.URL(0))
		sink := k.make(t, client)
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))
		if err := client.Save(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		fill(t, sink, at(1, 5), k.entries(t, 2, 5))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantMark(t, sink, at(1, 5))
		if _, err := sink.Append(t.Context(), at(2, 5), k.entries(t, 3, 1)); !isMismatch(err, at(1, 5)) {
			t.Fatalf("an append to a stale sink: %v", err)
		}
		fill(t, sink, at(1, 5), k.entries(t, 2, 5))
		wantHeld(t, k, client, slices.Concat(span(1, 1, 5), span(2, 1, 5)))
	})
}

func TestSinkFlushed(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		server := testenv.RedisServer(t, nil)
		client := testenv.Client(t, server.URL(0))
		sink := k.make(t, client)
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))
		if err := client.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := sink.Append(t.Context(), at(1, 5), k.entries(t, 2, 5)); !isMismatch(err, relay.Mark{}) {
			t.Fatalf("an append to a flushed sink: %v", err)
		}
		wantHeld(t, k, client, nil)
	})
}

// TestSinkForgottenScripts appends by several calls to a Redis that has lost its scripts, as after a restart.
func TestSinkForgottenScripts(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		client := testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
		sink := k.make(t, client)
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))
		if err := client.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		fill(t, sink, at(1, 5), k.entries(t, 2, 500))
	})
}

// TestSinkOutOfMemory runs out of memory between two calls of a batch, and later has memory again.
func TestSinkOutOfMemory(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		server := testenv.RedisServer(t, map[string]string{"maxmemory-policy": "noeviction"})
		client := testenv.Client(t, server.URL(0))
		sink := k.make(t, client)
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 1)) // loads the scripts
		entries := k.entries(t, 2, 500)
		for i := range entries {
			entries[i].Message.Payload = []byte(entries[i].ID.String() + strings.Repeat(" ", 50_000))
		}
		limit := func(maxmemory string) {
			t.Helper()
			if err := client.ConfigSet(t.Context(), "maxmemory", maxmemory).Err(); err != nil {
				t.Fatal(err)
			}
		}
		limit("12mb")
		now, err := sink.Append(t.Context(), at(1, 1), entries)
		if a := serverFault(err); a != nil || !strings.Contains(err.Error(), "OOM") {
			t.Fatalf("%v: %v", a, err)
		}
		limit("0")
		mark, err := sink.Mark(t.Context())
		if err != nil || mark.Last.Batch != 2 || mark.Last.Seq >= 500 {
			t.Fatalf("after running out of memory the sink is at %+v (the append returned %+v), %v: "+
				"memory did not end in the middle, so the test shows nothing", mark, now, err)
		}
		fill(t, sink, mark, entries[mark.Last.Seq:])
		if got := k.held(t, client); len(got) != 501 {
			t.Errorf("%d entries were written, want 501", len(got))
		}
	})
}

// TestSinkAnswerLost repeats an append that ran, but whose answer was lost.
func TestSinkAnswerLost(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		url := testenv.RedisServer(t, nil).URL(0)
		direct := testenv.Client(t, url)
		proxy, through := testenv.Through(t, url)
		sink := k.make(t, connect(t, through))
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))

		proxy.BlackHole(testenv.ToClient)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // a slow machine sends it within that, too
		defer cancel()
		_, err := sink.Append(ctx, at(1, 5), k.entries(t, 2, 5))
		if a := serverFault(err); a != nil {
			t.Fatal(a)
		}
		proxy.Heal()
		testenv.Eventually(t, "the append runs", func() error {
			mark, err := sink.Mark(t.Context())
			if err == nil && mark != at(2, 5) {
				err = fmt.Errorf("the sink is at %+v", mark)
			}
			return err
		})
		if _, err := sink.Append(t.Context(), at(1, 5), k.entries(t, 2, 5)); !isMismatch(err, at(2, 5)) {
			t.Errorf("the repeated append: %v", err)
		}
		wantHeld(t, k, direct, slices.Concat(span(1, 1, 5), span(2, 1, 5)))
	})
}

// TestSinkCommandLate has an append arrive after the relay has given it up and gone on.
func TestSinkCommandLate(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		url := testenv.RedisServer(t, nil).URL(0)
		direct := testenv.Client(t, url)
		proxy, through := testenv.Through(t, url)
		late, sink := k.make(t, connect(t, through)), k.make(t, direct)
		begin(t, late)
		fill(t, late, at(0, 0), k.entries(t, 1, 5))

		proxy.BlackHole(testenv.ToServer)
		gone := make(chan error)
		go func() {
			_, err := late.Append(t.Context(), at(1, 5), k.entries(t, 2, 5))
			gone <- err
		}()
		fill(t, sink, at(1, 5), k.entries(t, 2, 5))
		fill(t, sink, at(2, 5), k.entries(t, 3, 1))
		proxy.Heal()
		if err := <-gone; !isMismatch(err, at(3, 1)) {
			t.Errorf("the late append: %v", err)
		}
		wantHeld(t, k, direct, slices.Concat(span(1, 1, 5), span(2, 1, 5), span(3, 1, 1)))
	})
}

// TestSinkCutAnywhere cuts the connection after ever more bytes of an append: the append ran as a whole or not at all.
func TestSinkCutAnywhere(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		url := testenv.RedisServer(t, nil).URL(0)
		proxy, through := testenv.Through(t, url)
		client := connect(t, through)
		sink := k.make(t, client)
		begin(t, sink)
		mark := at(0, 0)
		for n := range int64(40) {
			for _, way := range []testenv.Direction{testenv.ToServer, testenv.ToClient} {
				entries := k.entries(t, mark.Last.Batch+1, 3)
				proxy.Cut(way, n*17)
				now, err := sink.Append(t.Context(), mark, entries)
				proxy.Heal()
				if err != nil {
					if a := serverFault(err); a != nil {
						t.Fatal(a)
					}
					testenv.Eventually(t, "mark", func() (err error) {
						now, err = sink.Mark(t.Context())
						return err
					})
				}
				if now != mark && now != (relay.Mark{Epoch: epoch, Last: entries[2].ID}) {
					t.Fatalf("cut after %d bytes, the sink is at %+v", n*17, now)
				}
				mark = now
			}
		}
		if mark.Last.Batch == 0 || mark.Last.Batch == 80 {
			t.Errorf("%d of 80 appends ran: not some of them, so the test shows nothing", mark.Last.Batch)
		}
		if got := k.held(t, testenv.Client(t, url)); int64(len(got)) != 3*mark.Last.Batch {
			t.Errorf("%d entries were written, want %d", len(got), 3*mark.Last.Batch)
		}
	})
}

// replica starts a replica that has all the data of its primary, and returns it with the proxy that it replicates
// through.
func replica(t *testing.T, primary *servers.Redis) (*servers.Redis, *goredis.Client, *testenv.Proxy) {
	t.Helper()
	proxy, through := testenv.Through(t, primary.URL(0))
	options, err := goredis.ParseURL(through)
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(options.Addr, ":")
	server := testenv.RedisServer(t, map[string]string{"replicaof": "127.0.0.1 " + port, "repl-diskless-sync-delay": "0"})
	return server, testenv.Client(t, server.URL(0)), proxy
}

func awaitMark(t *testing.T, s relay.Sink, want relay.Mark) {
	t.Helper()
	testenv.Eventually(t, "mark", func() error {
		got, err := s.Mark(t.Context())
		if err == nil && got != want {
			err = fmt.Errorf("the replica's sink is at %+v, want %+v", got, want)
		}
		return err
	})
}

// TestSinkOnReplica appends to a replica, and then to a replica that was promoted without the newest entries.
func TestSinkOnReplica(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		primary := testenv.RedisServer(t, map[string]string{"repl-diskless-sync-delay": "0"})
		before := k.make(t, testenv.Client(t, primary.URL(0)))
		begin(t, before)
		fill(t, before, at(0, 0), k.entries(t, 1, 5))
		_, client, proxy := replica(t, primary)
		sink := k.make(t, client)
		awaitMark(t, sink, at(1, 5))
		_, err := sink.Append(t.Context(), at(1, 5), k.entries(t, 2, 5))
		if a := serverFault(err); a != nil || !strings.Contains(err.Error(), "READONLY") {
			t.Fatalf("an append to a replica: %v: %v", a, err)
		}

		proxy.BlackHole(testenv.ToClient)
		fill(t, before, at(1, 5), k.entries(t, 2, 5)) // the entries that the replica misses
		if err := client.Do(t.Context(), "replicaof", "no", "one").Err(); err != nil {
			t.Fatal(err)
		}
		wantMark(t, sink, at(1, 5))
		if _, err := sink.Append(t.Context(), at(2, 5), k.entries(t, 3, 1)); !isMismatch(err, at(1, 5)) {
			t.Fatalf("an append after the promotion: %v", err)
		}
		fill(t, sink, at(1, 5), k.entries(t, 2, 5))
		wantHeld(t, k, client, slices.Concat(span(1, 1, 5), span(2, 1, 5)))
	})
}

// TestSinkWithoutPersistence appends to a Redis that refuses writes because it cannot save (MISCONF).
func TestSinkWithoutPersistence(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		server := testenv.RedisServer(t, map[string]string{"save": "3600 1", "dbfilename": "taken.rdb"})
		client := testenv.Client(t, server.URL(0))
		sink := k.make(t, client)
		begin(t, sink)
		fill(t, sink, at(0, 0), k.entries(t, 1, 5))
		dir, err := client.ConfigGet(t.Context(), "dir").Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(dir["dir"], "taken.rdb"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := client.BgSave(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "MISCONF", func() error {
			err := client.Set(t.Context(), "probe", 1, 0).Err()
			if err == nil {
				return errors.New("Redis still takes writes")
			}
			return nil
		})
		_, err = sink.Append(t.Context(), at(1, 5), k.entries(t, 2, 5))
		if a := serverFault(err); a != nil || !strings.Contains(err.Error(), "MISCONF") {
			t.Fatalf("%v: %v", a, err)
		}
		wantMark(t, sink, at(1, 5))
	})
}
