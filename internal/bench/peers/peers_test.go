package main

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/bench"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// TestSections runs every section in quick mode, to show that it works.
func TestSections(t *testing.T) {
	t.Parallel()
	cfg := bench.Config{DatabaseURL: testenv.DirectURL(t), RedisURL: testenv.RedisURL(t), Quick: true, Say: func(text string) { t.Log(text) }}
	report, err := bench.Run(t.Context(), cfg, peers())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Figures {
		if f.Value <= 0 || len(f.Rounds) != 1 {
			t.Errorf("%+v", f)
		}
	}
}

// TestSameDueTimes checks that both engines yield the same due times in UTC, where the peer is right.
func TestSameDueTimes(t *testing.T) {
	t.Parallel()
	for _, expression := range expressions {
		our, errOurs := ours(expression, "UTC")
		their, errTheirs := theirs(expression, "UTC")
		if errOurs != nil || errTheirs != nil {
			t.Fatal(errOurs, errTheirs)
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		for range 1000 {
			a, b := our(at), their(at)
			if !a.Equal(b) && !b.IsZero() {
				t.Fatalf("%s: got %s, robfig/cron's is %s", expression, a, b)
			}
			at = a
		}
	}
}
