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

// failureLog logs what fails again and again: each distinct error once, then how it stands in growing pauses, and
// that it is over.
type failureLog struct {
	log      *slog.Logger
	level    slog.Level
	what     string          // the constant message
	since    time.Time       // the first failure
	reported map[string]bool // errors that were logged already, without their numbers
	failed   int             // failures since then
	next     time.Time       // when the next line may be logged
	pause    time.Duration   // until then
}

// numbers are what differs between errors that say the same, ports mostly.
var numbers = regexp.MustCompile(`[0-9]+`)

// report logs a failure, or only counts it.
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

// recovered logs that it is over, if anything had failed.
func (t *failureLog) recovered() {
	if t.failed > 0 {
		t.log.Info("goes on", "what", t.what, "failed", t.failed, "after", time.Since(t.since).Round(time.Millisecond))
		*t = failureLog{log: t.log, level: t.level, what: t.what}
	}
}
