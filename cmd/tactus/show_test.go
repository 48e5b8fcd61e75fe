package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestRelative(t *testing.T) {
	t.Parallel()
	now := time.Date(2041, 1, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2041-01-01T12:00:00Z":      " (in 0s)",
		"2041-01-01T12:01:59Z":      " (in 119s)",
		"2041-01-01T12:02:00Z":      " (in 2m)",
		"2041-01-01T11:00:01Z":      " (59m ago)",
		"2041-01-01T22:30:00+09:00": " (in 90m)",
		"2041-01-03T11:59:59Z":      " (in 47h)",
		"2040-12-01T12:00:00Z":      " (31d ago)",
		"-":                         "",
		"":                          "",
	} {
		if got := relative(text, now); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestListTellsWhatPeopleAsk checks that the table says in how long a schedule is due and how its last run ended; JSON
// has only times.
func TestListTellsWhatPeopleAsk(t *testing.T) {
	t.Parallel()
	api := testenv.Program{Env: []string{"DATABASE_URL=" + testenv.DatabaseURL(t)}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	api.AwaitReady()
	at := []string{"--url", api.URL()}
	made := tactus(t, append([]string{"schedule", "create", "--name", "often", "--every", "3d", "--task", "app.a"}, at...)...)
	run := tactus(t, append([]string{"schedule", "trigger", "often"}, at...)...)
	if made.code != exitOK || run.code != exitOK {
		t.Fatalf("%+v, %+v", made, run)
	}
	list := tactus(t, append([]string{"schedule", "list"}, at...)...)
	for _, want := range []string{"NEXT_RUN_AT", "LAST_STATUS", `(Z|:\d\d) \(in [23]d\)`, `(Z|:\d\d) \(\d+s ago\) +due +-`} {
		if !regexp.MustCompile(want).MatchString(list.out) {
			t.Errorf("the table is without %s: %s", want, list.out)
		}
	}
	if list = tactus(t, append([]string{"schedule", "list", "-o", "json"}, at...)...); strings.Contains(list.out, "(in ") {
		t.Errorf("JSON: %s", list.out)
	}
}
