package poison

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSerializable has many writers change the same schedules while everything runs, where serializable is the default
// and our sessions cannot have it otherwise: transactions that clash are run again, and nobody is told of trouble.
func TestSerializable(t *testing.T) {
	t.Parallel()
	url := administered(t, nil)
	w := newWorldOn(t, testenv.Connect(t, url+"&default_transaction_isolation=serializable"))
	var log lines
	w.logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.relay()
	w.beat(beat.Config{})
	w.collect()
	const writers, changes = 8, 15
	var all []domain.Schedule
	for n := range 3 {
		all = append(all, w.put(domain.Definition{Name: fmt.Sprint("shared ", n), IntervalSeconds: 1, TaskName: "app.t", Queue: queue, ExecutionPolicy: domain.OverlapQueue}))
	}
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() {
			for n := range changes {
				s := all[n%len(all)]
				if _, err := w.store.Merge(t.Context(), s.ID, 0, fmt.Appendf(nil, `{"description":"%d of %d"}`, n, writer)); err != nil {
					t.Errorf("change: %v", err)
				}
				if _, err := w.store.Trigger(t.Context(), s.ID); err != nil {
					t.Errorf("trigger: %v", err)
				}
				var made any
				w.request(http.MethodPost, "/schedules", `{"interval_seconds":3600,"task_name":"t"}`, http.StatusCreated, &made)
			}
		})
	}
	wg.Wait()
	w.await("all manual runs are sent", writers*changes, `select count(*) from tactus.runs where kind = 'manual' and sent_at is not null`)
	if r := w.verify(); r.Found > 0 {
		t.Errorf("%+v", r)
	}
	if text := log.String(); strings.Contains(text, "40001") || strings.Contains(text, "serialize") {
		t.Errorf("it is told:\n%s", text)
	}
	if n := w.count(`select count(*) from tactus.deadletters`); n != 0 {
		t.Errorf("%d are set aside", n)
	}
}

// lines is a log.
type lines struct {
	mu sync.Mutex
	of bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of.String()
}
