package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestEventsCommands lists what was changed by whom.
func TestEventsCommands(t *testing.T) {
	t.Parallel()
	a := newAsCode(t)
	for _, name := range []string{"one", "two", "three"} {
		a.says(exitOK, name, "schedule create --name "+name+" --every 3600 --task t")
	}
	a.says(exitOK, `paused`, "schedule disable one --reason stocktaking")
	a.says(exitOK, `q`, "route set app.* --queue q")
	a.says(exitOK, `(?s)TIME +TYPE.*schedule.created +one +1 +role:\S+ +-.*schedule.disabled +one +2 +role:\S+ +stocktaking\n`, "events list")
	if two := a.says(exitOK, `schedule.disabled`, "events list -n 1"); strings.Contains(two.out, "created") {
		t.Errorf("%s", two.out)
	}
	if of := a.says(exitOK, `schedule.created +two`, "events list --schedule two"); strings.Contains(of.out, "one") {
		t.Errorf("%s", of.out)
	}
	a.says(exitOK, `^TIME[^\n]*\n$`, "events list --actor key:nobody")
	a.says(exitOK, `route.set +app\.\*`, "events list --type route.set")
	a.says(exitOK, `"next": "\S+"`, "events list -o json")
	a.says(exitNotFound, `no schedule named "nobody"`, "events list --schedule nobody")
	a.says(exitUsage, `want 1 or more`, "events list -n 0")
	a.says(exitFailure, `parameter_invalid`, "events list --type no.such")
	a.says(exitFailure, `cursor`, "events list --after nonsense")
	a.says(exitFailure, `cursor`, "events tail --after nonsense")
}

// output is what a command has written while it runs.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestEventsTail follows the log while the server breaks off each connection: each event is printed once, in order.
func TestEventsTail(t *testing.T) {
	t.Parallel()
	inner := api.New(testenv.Database(t), "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{})
	var mu sync.Mutex
	var cut []context.CancelFunc
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events/stream") {
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			mu.Lock()
			cut, r = append(cut, cancel), r.WithContext(ctx)
			mu.Unlock()
		}
		inner.ServeHTTP(w, r)
	}))
	defer server.Close()
	a := asCode{t, server.URL, t.TempDir()}
	a.says(exitOK, "before", "schedule create --name before --every 3600 --task t")
	after := strings.TrimSpace(strings.Split(strings.Split(a.says(exitOK, "next", "events list -o json").out, `"next": "`)[1], `"`)[0])
	out, ctx := &output{}, t.Context()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		c := logTailCmd{eventChoice: eventChoice{After: after}}
		c.URL, c.Output = secretOf(server.URL), "table"
		ended <- c.Run(ctx, console{out: out, problems: io.Discard})
	}()
	const many = 5
	for n := range many {
		a.says(exitOK, "name", fmt.Sprintf("schedule create --name s%d --every 3600 --task t", n))
		testenv.Eventually(t, "the event is printed", func() error {
			if !strings.Contains(out.String(), fmt.Sprintf("schedule.created  s%d  1", n)) {
				return fmt.Errorf("printed: %s", out)
			}
			return nil
		})
		mu.Lock()
		for _, end := range cut {
			end()
		}
		mu.Unlock()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if lines := strings.Count(out.String(), "\n"); lines != many || strings.Contains(out.String(), "before") {
		t.Errorf("%d lines: %s", lines, out)
	}
}
