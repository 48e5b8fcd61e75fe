package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/transcript"
	"github.com/tactus-dev/tactus/relay"
)

// TestTranscripts plays the scripts of testdata/transcripts on a real PostgreSQL and a real Redis, and compares what
// happens with what the transcript says.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	transcript.Play(t, func(t *testing.T, blocks []transcript.Block) {
		s := &stage{world: newWorld(t), names: map[string]string{}, stops: map[string]func(){}}
		s.play(t, blocks)
	})
}

// stage is a world in which a script is played. Batches are small and numbered alike each time, because each command
// waits until all that it wrote has been carried.
type stage struct {
	*world
	mu      sync.Mutex
	lines   []string          // what has happened in this block
	names   map[string]string // of epochs and runs, by their random ids
	stops   map[string]func() // of the relays that run
	stream  []string          // the entries of the stream, as told last
	queues  []string          // the tasks in the queues, as told last
	copied  map[string]string // the copy of Redis, by key
	aside   int64             // how many entries were told to be set aside
	ofTasks bool              // the relays carry runs, not schedules
}

func (s *stage) play(t *testing.T, blocks []transcript.Block) {
	t.Helper()
	for i, b := range blocks {
		s.lines = nil
		for _, line := range b.Commands {
			c, err := transcript.ReadCommand(line)
			if err == nil {
				err = s.do(t, c)
			}
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			s.settle(t)
		}
		blocks[i].Happened = s.lines
	}
}

// do carries out one command.
func (s *stage) do(t *testing.T, c transcript.Command) error {
	t.Helper()
	switch c.Word(0) {
	case "start":
		name := c.Word(1)
		routes := []relay.Route{s.events()}
		if c.Word(2) == "tasks" {
			s.ofTasks, routes = true, []relay.Route{s.tasks(t)}
		}
		r, err := relay.New(s.pool, routes, relay.Config{Log: slog.New(teller{s, name})})
		if err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { r.Run(ctx) })
		s.stops[name] = func() { cancel(); running.Wait() }
		t.Cleanup(s.stops[name])
		testenv.Eventually(t, "the relay and its sink agree", func() error {
			if r.Stats()[0].Mark.Epoch == "" {
				return errNotYet
			}
			return nil
		})
	case "stop":
		s.stops[c.Word(1)]()
		delete(s.stops, c.Word(1))
	case "change":
		s.put(t, c.Word(1), 1)
	case "run":
		for _, id := range s.fire(t, c.Word(1), 1) {
			s.name(id, "run")
		}
	case "redis":
		return s.disturb(t, c.Word(1), c.Word(2))
	case "database":
		s.sql(t, `update tactus.relay_sinks set timeline = 'another'`)
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

// disturb empties Redis, puts an old copy of its data back, or gives a queue's key another type.
func (s *stage) disturb(t *testing.T, how, key string) error {
	t.Helper()
	ctx := t.Context()
	switch how {
	case "copies":
		s.copied = map[string]string{}
		for _, key := range s.redis.Keys(ctx, "*").Val() {
			s.copied[key] = s.redis.Dump(ctx, key).Val()
		}
	case "empties", "restores":
		if err := s.redis.FlushDB(ctx).Err(); err != nil || how == "empties" {
			return err
		}
		for key, value := range s.copied {
			if err := s.redis.Restore(ctx, key, 0, value).Err(); err != nil {
				return err
			}
		}
	case "spoils":
		return s.redis.Set(ctx, key, "not a list", 0).Err()
	default:
		return fmt.Errorf("no such disturbance")
	}
	return nil
}

// settle waits until the relays that run have carried everything, and tells what is new in Redis.
func (s *stage) settle(t *testing.T) {
	t.Helper()
	if len(s.stops) > 0 && s.ofTasks {
		testenv.Eventually(t, "every run is handed over, or set aside and told", func() error {
			due := s.number(t, `select count(*) from tactus.runs where status = 'due'`)
			if aside := s.number(t, `select count(*) from tactus.deadletters`); due > 0 || aside != s.asideTold() {
				return fmt.Errorf("%d are due, %d set aside", due, aside)
			}
			return nil
		})
	} else if len(s.stops) > 0 {
		s.awaitEvents(t)
	}
	s.tellNew("stream", &s.stream, s.entries(t))
	s.tellNew("queues", &s.queues, s.queued(t))
}

func (s *stage) asideTold() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aside
}

func (s *stage) tellNew(where string, before *[]string, now []string) {
	for _, entry := range *before {
		if !slices.Contains(now, entry) {
			s.tell(where, "has lost "+entry)
		}
	}
	for _, entry := range now {
		if !slices.Contains(*before, entry) {
			s.tell(where, "has "+entry)
		}
	}
	*before = now
}

// entries returns the entries of the stream, each as a text.
func (s *stage) entries(t *testing.T) (all []string) {
	t.Helper()
	found, err := s.redis.XRange(t.Context(), redis.EventStream, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		var event struct {
			Type, Epoch string
			Data        struct {
				Name    string
				Version int
			}
		}
		if err := json.Unmarshal([]byte(e.Values["payload"].(string)), &event); err != nil {
			t.Fatal(err)
		}
		what := event.Type
		if event.Data.Name != "" {
			what += fmt.Sprintf(" %s, version %d", event.Data.Name, event.Data.Version)
		}
		all = append(all, e.ID+"  "+what+", in "+s.name(event.Epoch, "epoch"))
	}
	return all
}

func (s *stage) queued(t *testing.T) (all []string) {
	t.Helper()
	for _, key := range []string{"reports", "mails"} {
		if s.redis.Type(t.Context(), key).Val() != "list" {
			continue
		}
		for _, id := range s.handed(t, key) {
			all = append(all, s.name(id, "run")+" in "+key)
		}
	}
	return all
}

// name returns a name for a random id, in the order in which ids are met.
func (s *stage) name(id, kind string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.names[id] == "" {
		n := 1
		for _, name := range s.names {
			if strings.HasPrefix(name, kind+" ") {
				n++
			}
		}
		s.names[id] = fmt.Sprint(kind, " ", n)
	}
	return s.names[id]
}

func (s *stage) tell(who, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, who+": "+what)
}

// teller is a log handler that adds a relay's log lines to the transcript.
type teller struct {
	stage *stage
	who   string
}

// Enabled implements slog.Handler.
func (l teller) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

var runInReference = regexp.MustCompile(`^[0-9a-f-]{36}`)

// Handle implements slog.Handler.
func (l teller) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "published" || r.Message == "sink is served again" {
		return nil // the transcript shows publishing by the content of Redis, since its time depends on the machine
	}
	text := r.Message
	r.Attrs(func(a slog.Attr) bool {
		value := a.Value.String()
		switch a.Key {
		case "sink":
			return true
		case "epoch":
			value = l.stage.name(value, "epoch")
		case "event_id":
			value = runInReference.ReplaceAllStringFunc(value, func(id string) string { return l.stage.name(id, "run") })
		}
		text += ", " + strings.ReplaceAll(a.Key, "_", " ") + " " + value
		return true
	})
	l.stage.tell(l.who, text)
	if r.Message == "set aside" {
		l.stage.mu.Lock()
		l.stage.aside++
		l.stage.mu.Unlock()
	}
	return nil
}

// WithAttrs implements slog.Handler.
func (l teller) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup implements slog.Handler.
func (l teller) WithGroup(string) slog.Handler { return l }
