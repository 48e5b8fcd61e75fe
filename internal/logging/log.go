package logging

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Formats and Levels are what a process can log as, and from which level on.
var (
	Formats = []string{"text", "json"}
	Levels  = []string{"debug", "info", "warn", "error"}
)

// Log is the log of a process. Its level can be changed at any time.
type Log struct {
	*slog.Logger
	level      slog.LevelVar
	configured slog.Level

	mu    sync.Mutex
	back  *time.Timer // makes the level the configured one again
	until time.Time   // when back does so
}

// New returns a log that writes to w in one of Formats, from one of Levels on.
func New(w io.Writer, format, level string) (*Log, error) {
	l := &Log{}
	var err error
	if l.configured, err = parseLevel(level); err != nil {
		return nil, err
	}
	l.level.Set(l.configured)
	options := &slog.HandlerOptions{Level: &l.level}
	var to slog.Handler
	switch format {
	case "text":
		to = slog.NewTextHandler(w, options)
	case "json":
		options.ReplaceAttr = inSeconds
		to = slog.NewJSONHandler(w, options)
	default:
		return nil, fmt.Errorf("%q is no format of a log: want %s", format, strings.Join(Formats, " or "))
	}
	l.Logger = slog.New(newRepeats(to))
	return l, nil
}

// inSeconds has durations written as numbers of seconds, which programs compare.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}

func parseLevel(text string) (level slog.Level, err error) {
	if !slices.Contains(Levels, text) {
		return 0, fmt.Errorf("%q is no level of a log: want one of %s", text, strings.Join(Levels, ", "))
	}
	return level, level.UnmarshalText([]byte(text))
}

// Level returns the level from which on the process logs now.
func (l *Log) Level() string { return strings.ToLower(l.level.Level().String()) }

// Until returns when the process logs again as it was started to, or the zero time if nothing else is set.
func (l *Log) Until() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// longest is how long a level can be set for. Whoever needs more sets it until further notice.
const longest = 7 * 24 * time.Hour

// Set changes the level: for some time ("10m"), or, where lasts is empty, until it is set again or the process ends.
// The error lists all that is wrong.
func (l *Log) Set(level, lasts string) error {
	var faults domain.Faults
	to, err := parseLevel(level)
	if err != nil {
		faults = append(faults, fault("level", err.Error()))
	}
	var until time.Duration
	if lasts != "" {
		until, err = time.ParseDuration(lasts)
		if err != nil || until <= 0 || until > longest {
			faults = append(faults, fault("for",
				fmt.Sprintf("%q: want a time of at most a week (168h), such as 10m, or leave it out", lasts)))
		}
	}
	if len(faults) > 0 {
		return faults
	}
	l.set(to, until)
	return nil
}

func fault(parameter, message string) *domain.Error {
	return &domain.Error{Kind: domain.Invalid, Code: "parameter_invalid", Field: parameter, Message: message}
}

func (l *Log) set(level slog.Level, lasts time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.back != nil {
		l.back.Stop()
		l.back = nil
	}
	l.change(level, lasts)
	l.until = time.Time{}
	if lasts == 0 {
		return
	}
	l.until = time.Now().Add(lasts)
	var back *time.Timer
	back = time.AfterFunc(lasts, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.back == back { // else the level has been set once more
			l.change(l.configured, 0)
			l.until = time.Time{}
		}
	})
	l.back = back
}

// change says so in the log, whatever the two levels are: that line explains those that follow, and those that do not.
func (l *Log) change(level slog.Level, lasts time.Duration) {
	was := l.level.Level()
	if was == level {
		return
	}
	l.level.Set(slog.LevelInfo)
	l.Info("the level of the log changes", "from", was, "to", level, "for", lasts)
	l.level.Set(level)
}
