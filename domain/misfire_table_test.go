package domain_test

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
)

// TestMisfireTable holds the table of docs/semantics.md against what Settle decides; -update writes it anew.
func TestMisfireTable(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../docs/semantics.md", "<!-- misfire table -->\n", "<!-- end -->\n"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(text, []byte(begin))
	table, after, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		t.Fatalf("%s has no place for the table", path)
	}
	want := misfireTable(at(t, "2026-01-05T12:00:00Z"))
	if *update {
		text = bytes.Join([][]byte{before, []byte(begin), []byte(want), []byte(end), after}, nil)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if diff := cmp.Diff(want, string(table)); diff != "" {
		t.Errorf("%s (-want +got), rewritten by -update:\n%s", path, diff)
	}
}

// misfireTable says what becomes of the due times during outages that end two and a half minutes after noon.
func misfireTable(noon time.Time) string {
	periods := []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour}
	var b strings.Builder
	b.WriteString("| `misfire_policy` | outage | every second | every minute | every hour | daily at noon |\n|---|---|---|---|---|---|\n")
	for _, policy := range []string{domain.MisfireLatest, domain.MisfireAll, domain.MisfireNone} {
		for _, outage := range []time.Duration{10 * time.Second, 3 * time.Minute, 2 * time.Hour, 48 * time.Hour} {
			fmt.Fprintf(&b, "| `%s` | %s |", policy, words(outage))
			for _, period := range periods {
				now := noon.Add(150 * time.Second)
				r := domain.Interval{Anchor: noon, Every: period}
				s := misfire(policy).Settle(r, now.Add(-outage), now, domain.DefaultTakeover, 1_000_000)
				fmt.Fprintf(&b, " %s |", outcome(s, r))
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// words says how long an outage is.
func words(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d seconds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", d/time.Minute)
	}
	return fmt.Sprintf("%d hours", d/time.Hour)
}

// outcome counts what fires and what is missed.
func outcome(s domain.Settlement, r domain.Interval) string {
	var missed int
	for _, m := range s.Missed {
		missed += int(m.To.Sub(m.From)/r.Every) + 1
	}
	switch {
	case len(s.Fire)+missed == 0:
		return "none was due"
	case missed == 0:
		return fmt.Sprintf("%d fire", len(s.Fire))
	}
	return fmt.Sprintf("%d fire, %d missed", len(s.Fire), missed)
}
