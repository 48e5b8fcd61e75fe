package beat

import (
	"context"
	"log/slog"
	"regexp"
	"time"
)

// How long the log says nothing more of an error that goes on.
const (
	firstSilence = time.Second
	lastSilence  = time.Minute
)

// trouble tells the log of what fails again and again: each error once, then how it stands in growing pauses, and
// that it is over.
type failureLog struct {
	log      *slog.Logger
	level    slog.Level
	what     string
	since    time.Time
	reported map[string]bool
	failed   int
	next     time.Time
	pause    time.Duration
}

// numbers differ in errors that say the same: ports, mostly.
var numbers = regexp.MustCompile(`[0-9]+`)

func (t *failureLog) report(err error) {
	now := time.Now()
	t.failed++
	switch text := numbers.ReplaceAllString(err.Error(), ""); {
	case !t.reported[text]:
		if t.reported == nil {
			t.reported, t.since, t.pause = map[string]bool{}, now, firstSilence
		}
		t.reported[text] = true
		t.log.Log(context.Background(), t.level, t.what, "err", err)
	case now.Before(t.next):
		return
	default:
		t.log.Log(context.Background(), t.level, t.what, "err", err, "failed", t.failed, "since", t.since)
		t.pause = min(2*t.pause, lastSilence)
	}
	t.next = now.Add(t.pause)
}

func (t *failureLog) recovered() {
	if t.failed > 0 {
		t.log.Info("goes on", "what", t.what, "failed", t.failed, "after", time.Since(t.since).Round(time.Millisecond))
		*t = failureLog{log: t.log, level: t.level, what: t.what}
	}
}
