package beat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestPostgresAway stops PostgreSQL under a leader. Soon Stats says that the leader is not known, the watermark stays,
// and the problem is logged a few times, not five times a second.
func TestPostgresAway(t *testing.T) {
	t.Parallel()
	server, url := testenv.Postgres(t, nil)
	var log lines
	b, err := New(testenv.Connect(t, url), nil, Config{Name: "a", Log: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	leads := func() error {
		if s := b.Stats(); !s.Known || !s.Leader || s.Age > time.Second || s.Lag > time.Second {
			return fmt.Errorf("%+v", s)
		}
		return nil
	}
	testenv.Eventually(t, "it leads", leads)
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopped := b.Stats()
	testenv.Eventually(t, "nobody knows who leads", func() error {
		if b.Stats().Known {
			return errors.New("it knows")
		}
		return nil
	})
	if s := b.Stats(); s.Watermark.After(stopped.Watermark.Add(2*time.Second)) || s.Lag < 5*time.Second || s.Age < 5*time.Second {
		t.Errorf("while Postgres is away: %+v", s)
	}
	if n := log.count("level=ERROR"); n == 0 || n > 15 {
		t.Errorf("%d errors in the log:\n%s", n, log.text())
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "it leads again", leads)
	if log.count("goes on") == 0 {
		t.Errorf("that it goes on is not told:\n%s", log.text())
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// lines keeps the lines of a log.
type lines struct {
	mu sync.Mutex
	of bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of.String()
}

func (l *lines) count(text string) int { return strings.Count(l.text(), text) }
