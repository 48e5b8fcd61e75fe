package relay_test

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// consumer is a service that reads by redis-py.
type consumer struct {
	mu      sync.Mutex
	order   []string        // the ids of events, in the order in which each was first read
	events  map[string]bool // the ids, as a set
	notices int
	trouble int
}

func (c *consumer) hears(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch kind, rest, _ := strings.Cut(line, " "); kind {
	case "event":
		if id, _, _ := strings.Cut(rest, " "); !c.events[id] {
			c.events[id], c.order = true, append(c.order, id)
		}
	case "notice":
		c.notices++
	case "trouble":
		c.trouble++
	}
}

func (c *consumer) get() (order []string, notices, trouble int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order, c.notices, c.trouble
}

func consume(t *testing.T, args ...string) *consumer {
	t.Helper()
	python, err := servers.FindPython(t.Context(), servers.Config{}, []string{"redis"}, "python3-redis")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("testdata/consumer.py")
	if err != nil {
		t.Fatal(err)
	}
	cmd := python.Command(t.Context(), append([]string{"-c", string(program)}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &consumer{events: map[string]bool{}}
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			c.hears(lines.Text())
		}
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait() // it was killed
	})
	return c
}

// TestRedisPyThroughRestarts kills Redis again and again, and brings it back with its data, without the newest data,
// and empty, while a service reads the stream and the channel by redis-py. Every event reaches the service, those of a
// schedule in order, and notices arrive again after each restart.
func TestRedisPyThroughRestarts(t *testing.T) {
	t.Parallel()
	server := testenv.RedisServer(t, map[string]string{"appendonly": "yes", "appendfsync": "everysec"})
	const channel = "updates"
	w := at(t, testenv.Database(t), testenv.Client(t, server.URL(0)))
	route := w.events()
	route.Sink = redis.NewEventSink(w.redis, redis.EventConfig{Channel: channel})
	w.carry(t, route)
	c := consume(t, server.URL(0), redis.EventStream, channel)
	hears := func(what string) {
		t.Helper()
		_, before, _ := c.get()
		n := 0
		testenv.Eventually(t, "a notice is heard "+what, func() error {
			w.put(t, "heard", 1)
			if _, notices, _ := c.get(); notices == before {
				return fmt.Errorf("none of %d", n)
			}
			return nil
		})
	}
	complete := func() {
		t.Helper()
		testenv.Eventually(t, "every event was read", func() error {
			order, _, _ := c.get()
			events := 0
			for _, id := range order {
				if !strings.HasPrefix(id, "log/") {
					events++
				}
			}
			if n := w.number(t, `select count(*) from tactus.outbox where topic = 'schedule'`); int(n) != events {
				return fmt.Errorf("%d of %d", events, n)
			}
			return nil
		})
	}
	hears("at first")
	longer, _ := time.ParseDuration(os.Getenv("TACTUS_CHAOS_FOR")) // set by make chaos
	for round, until := 0, time.Now().Add(longer); round < 6 || time.Now().Before(until); round++ {
		for n := range 10 {
			w.put(t, fmt.Sprint("schedule ", n%3), 1)
		}
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		w.put(t, "while it is away", 3)
		if round%3 == 2 {
			if err := server.Wipe(); err != nil {
				t.Fatal(err)
			}
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		hears("after a restart")
		complete()
	}
	order, _, trouble := c.get()
	newest := map[string]int{}
	for _, id := range order {
		schedule, text, _ := strings.Cut(id, "/")
		version, _ := strconv.Atoi(text)
		if schedule != "log" && version != newest[schedule]+1 {
			t.Errorf("version %d of %s was read after %d", version, schedule, newest[schedule])
		}
		newest[schedule] = version
	}
	if trouble == 0 {
		t.Error("the consumer had no trouble: that shows nothing")
	}
	t.Logf("%d entries were read in %d troubles", len(order), trouble)
}
