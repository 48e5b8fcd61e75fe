package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func TestReplayCommand(t *testing.T) {
	t.Parallel()
	k := keep(t)
	k.schedules(t, "a", "b", "c")
	for _, c := range []struct {
		args string
		code int
		want string // of what is printed, or of the problems
	}{
		{"--stream tactus:replay:1 --dry-run", exitOK, "TYPE              EVENTS  FIRST  LAST\nschedule.created  3  " +
			"     1      3\n\nwould be published to tactus:replay:1\n"},
		{"--stream tactus:replay:1 --resume", exitFailure, "there is no replay to continue"},
		{"--stream tactus:replay:1 --from 2 --rate 0", exitOK, "published 2 events to tactus:replay:1\n"},
		{"--stream tactus:replay:1 --from 2", exitOK, "published 0 events to tactus:replay:1\n"},
		{
			"--stream tactus:replay:1 --resume --dry-run", exitOK,
			"TYPE  EVENTS  FIRST  LAST\n\nwould be published to tactus:replay:1, which has those up to position 3\n",
		},
		{
			"--stream tactus:replay:1 --from 1", exitUsage,
			"tactus:replay:1 holds another replay: go on with that by --resume, or choose a new key",
		},
		{
			"--stream tactus:replay:2 --from 90m --to 2 --type schedule.created", exitOK,
			"published 2 events to tactus:replay:2\n",
		},
		{"--stream tactus:replay:3 --to 1h", exitOK, "published 0 events to tactus:replay:3\n"},
		{"--stream tactus:events", exitUsage, "tactus:events cannot hold a replay: the relay fills it, and itself " +
			"publishes again what was lost; choose a new key, such as tactus:replay:1"},
		{
			"--stream celery", exitUsage,
			"celery cannot hold a replay: Celery workers read it; choose a new key, such as tactus:replay:1",
		},
		{"--stream tactus:replay:4 --type run.due", exitUsage, "a replay never runs anything"},
		{"--stream tactus:replay:4 --from=-1", exitUsage, "or 30d; want a position in the log otherwise"},
		{"--stream tactus:replay:4 --schedule a", exitUsage, "not a UUID"},
		{"--stream tactus:replay:4 --rate=-1", exitUsage, "want a number of events a second"},
	} {
		got := k.tactus(t, append([]string{"replay"}, strings.Fields(c.args)...)...)
		if got.code != c.code || c.code == exitOK && got.out != c.want ||
			!strings.Contains(got.out+got.problems, c.want) {
			t.Errorf("%s: %+v", c.args, got)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	p := newProgress(&bytes.Buffer{}, 200)
	if got, want := p.bar(50, time.Second), "\r[#######.......................]  25%  50 of 200, 50/s"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := p.bar(200, 2*time.Second),
		"\r[##############################] 100%  200 of 200, 100/s\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	var file bytes.Buffer
	if p := newProgress(&file, 1); terminal(&file) {
		t.Error("a buffer is no terminal")
	} else if p.at(1); file.Len() > 0 {
		t.Errorf("into a file it writes %q", file.String())
	}
}
