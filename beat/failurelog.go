package beat

import (
	"context"
	"log/slog"
	"regexp"
	"time"
)

// How long a failureLog is silent between two lines about an error that persists: at first, and at most.
const (
	firstSilence = time.Second
	lastSilence  = time.Minute
)

// failureLog logs an action that fails repeatedly: each distinct error once, then the newest error and the number of
// failures after growing pauses, and finally that the action succeeds again.
type failureLog struct {
	log      *slog.Logger
	level    slog.Level
	what     string          // the constant message
	since    time.Time       // the first failure
	reported map[string]bool // the texts that were logged already, with their digits removed
	failed   int             // how many failures since then
	next     time.Time       // when the next line may be logged
	pause    time.Duration   // before the line after that
}

// numbers matches what may differ between two texts of the same error, such as ports.
var numbers = regexp.MustCompile(`[0-9]+`)

// report counts a failure, and logs it unless it has to be silent.
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

// recovered logs that the action succeeds again, if it had failed.
func (t *failureLog) recovered() {
	if t.failed > 0 {
		t.log.Info("goes on", "what", t.what, "failed", t.failed, "after", time.Since(t.since).Round(time.Millisecond))
		*t = failureLog{log: t.log, level: t.level, what: t.what}
	}
}
