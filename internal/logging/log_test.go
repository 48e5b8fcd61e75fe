package logging

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// written is an output that a test looks at while others write.
type written struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *written) take() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.text.Reset()
	return w.text.String()
}

func newLog(t *testing.T, format, level string) (*Log, *written) {
	t.Helper()
	to := &written{}
	l, err := New(to, format, level)
	if err != nil {
		t.Fatal(err)
	}
	return l, to
}

func TestFormats(t *testing.T) {
	l, to := newLog(t, "text", "info")
	l.Debug("hidden")
	l.Info("shown", "n", 1)
	if got := to.take(); !strings.HasSuffix(got, "level=INFO msg=shown n=1\n") || strings.Count(got, "\n") != 1 {
		t.Errorf("as text: %s", got)
	}
	l, to = newLog(t, "json", "debug")
	l.Debug("shown", "err", errors.New("no\nluck"), "took", 1500*time.Millisecond)
	var line struct {
		Level, Msg, Err string
		Took            float64
	}
	if got := to.take(); json.Unmarshal([]byte(got), &line) != nil || line.Level != "DEBUG" || line.Err != "no\nluck" || line.Took != 1.5 {
		t.Errorf("as JSON: %s", got)
	}
	for _, c := range [][2]string{{"xml", "info"}, {"text", "loud"}, {"text", "INFO"}, {"", ""}} {
		if _, err := New(to, c[0], c[1]); err == nil {
			t.Errorf("%q is taken", c)
		}
	}
}

func TestLevelIsSetForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, to := newLog(t, "text", "warn")
		set := func(level, lasts string) {
			t.Helper()
			if err := l.Set(level, lasts); err != nil {
				t.Fatal(err)
			}
		}
		at := func(want string) {
			t.Helper()
			if got := l.Level(); got != want {
				t.Errorf("it logs from %s on, want %s", got, want)
			}
		}
		set("debug", "10m")
		at("debug")
		l.Debug("shown")
		if got := to.take(); !strings.Contains(got, "from=WARN to=DEBUG") || !strings.Contains(got, "msg=shown") {
			t.Errorf("after the change the log says %s", got)
		}
		time.Sleep(9 * time.Minute)
		set("info", "10m") // the first time no longer counts
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		at("info")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		at("warn")
		if got := to.take(); !strings.Contains(got, "from=INFO to=WARN") {
			t.Errorf("when the time was over the log said %s", got)
		}
		set("error", "1m")
		set("error", "") // for good
		time.Sleep(time.Hour)
		synctest.Wait()
		at("error")
	})
}

func TestLevelIsRefused(t *testing.T) {
	l, _ := newLog(t, "text", "info")
	for _, c := range []struct {
		level, lasts string
		fields       string
	}{
		{"", "", "level"},
		{"loud", "", "level"},
		{"debug", "0", "for"},
		{"debug", "-1s", "for"},
		{"debug", "169h", "for"},
		{"debug", "soon", "for"},
		{"loud", "soon", "level for"},
	} {
		var fields []string
		for _, f := range domain.FaultsOf(l.Set(c.level, c.lasts)) {
			fields = append(fields, f.Field)
		}
		if got := strings.Join(fields, " "); got != c.fields {
			t.Errorf("%q for %q: faults of %q, want %q", c.level, c.lasts, got, c.fields)
		}
	}
	if l.Level() != "info" {
		t.Errorf("what was refused has changed the level to %s", l.Level())
	}
}

// TestTroubleIsToldInGrowingPauses has the same thing fail five times a second for an hour, beside another.
func TestTroubleIsToldInGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, to := newLog(t, "text", "info")
		of := l.With("sink", "a")
		for i := range 5 * 3600 {
			of.Warn("cannot dial", "err", fmt.Errorf("from port %d", i), "failed", i)
			time.Sleep(200 * time.Millisecond)
		}
		got := to.take()
		if n := strings.Count(got, "\n"); n < 10 || n > 20 {
			t.Errorf("%d lines of one trouble within an hour:\n%s", n, got)
		}
		if !strings.Contains(got, "repeated=") {
			t.Errorf("nobody learns how often it was kept back:\n%s", got)
		}
		time.Sleep(time.Hour)
		of.Warn("cannot dial", "err", errors.New("from port 7"), "failed", 1)
		if got := to.take(); got == "" || strings.Contains(got, "repeated") {
			t.Errorf("after an hour without it, it is no new trouble: %s", got)
		}
	})
}

func TestOtherTroubleIsTold(t *testing.T) {
	l, to := newLog(t, "text", "info")
	of := l.With("sink", "a").WithGroup("g")
	for _, tell := range []func(){
		func() { l.Warn("a") }, func() { l.Error("a") }, func() { l.Warn("b") },
		func() { l.Warn("a", "err", errors.New("x")) }, func() { l.Warn("a", "err", errors.New("y")) },
		func() { l.Warn("a", "event_id", "run/1") }, func() { l.Warn("a", "event_id", "run/2") },
		func() { of.Warn("a") }, func() { l.With("sink", "b").Warn("a") },
	} {
		tell()
		if to.take() == "" {
			t.Error("another trouble was kept back")
		}
		tell()
		if got := to.take(); got != "" {
			t.Errorf("it was told twice: %s", got)
		}
	}
	for range 2 { // a state, not a trouble
		l.Info("took the lease")
		if to.take() == "" {
			t.Error("information was kept back")
		}
	}
}

// TestRareTroubleIsTheSame has something fail every 15 seconds for an hour.
func TestRareTroubleIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, to := newLog(t, "text", "info")
		for range 4 * 60 {
			l.Warn("cannot watch; retrying", "err", errors.New("no answer"))
			time.Sleep(15 * time.Second)
		}
		if got := to.take(); strings.Count(got, "\n") > 15 {
			t.Errorf("%d lines within an hour:\n%s", strings.Count(got, "\n"), got)
		}
	})
}

// TestTroublesAreBounded has more different troubles than are kept.
func TestTroublesAreBounded(t *testing.T) {
	h := newRepeats(slog.DiscardHandler).(repeats)
	for i := range 3 * mostTroubles {
		h.seen.note(fmt.Sprint("trouble ", i))
	}
	if n := len(h.seen.kept); n > mostTroubles {
		t.Errorf("%d troubles are kept", n)
	}
}
