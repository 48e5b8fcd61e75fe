package importer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func crontab(t *testing.T, text string, options importer.CrontabOptions) []importer.Entry {
	t.Helper()
	entries, err := importer.ParseCrontab(t.Context(), text, options)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// TestHostileCrontab has many lines behind many assignments, and more lines than anybody has.
func TestHostileCrontab(t *testing.T) {
	assignments, lines := &strings.Builder{}, strings.Repeat("* * * * * x\n", 20_000)
	for n := range 20_000 {
		fmt.Fprintf(assignments, "V%d=%s\n", n, strings.Repeat("v", 20))
	}
	for name, text := range map[string]string{
		"lines times assignments": assignments.String() + lines,
		"lines":                   strings.Repeat(lines, 50),
	} {
		var err error
		most := testenv.Heap(t, func() {
			_, err = importer.ParseCrontab(t.Context(), text, importer.CrontabOptions{Task: "t", Timezone: "UTC"})
		})
		if err == nil || !strings.Contains(err.Error(), "more than 64 MiB") || most > 256<<20 {
			t.Errorf("%s: %d MiB, %v", name, most>>20, err)
		}
	}
	if entries := crontab(t, lines, importer.CrontabOptions{Task: "t", Timezone: "UTC"}); len(entries) != 20_000 {
		t.Errorf("%d entries", len(entries))
	}
}

// TestHostileApplication has more of everything than any application, in a few bytes each.
func TestHostileApplication(t *testing.T) {
	for name, text := range map[string]string{
		"entries": `"schedules":[` + strings.Repeat(`{},`, 3_000_000) + `{}]`,
		"tasks":   `"tasks":{` + members(500_000) + `}`,
		"queues":  `"queues":{` + members(500_000) + `}`,
	} {
		raw := []byte(`{"version":6, "application":"x","timezone":"UTC",` + text + `}`)
		var err error
		most := testenv.Heap(t, func() { _, err = importer.ParseApplication(raw) })
		if err == nil || !strings.Contains(err.Error(), "more than 64 MiB") || most > 400<<20 {
			t.Errorf("%s: %d MiB, %v", name, most>>20, err)
		}
	}
}

func members(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `"%d":{},`, i)
	}
	return text.String() + `"last":{}`
}

// TestHostileZones has thousands of lines in a zone whose name is as long as assignments may be. They are refused, and
// none of them repeats the name.
func TestHostileZones(t *testing.T) {
	t.Parallel()
	for _, letter := range []string{"Z", "é"} {
		text := "CRON_TZ=" + strings.Repeat(letter, 400_000) + "\n" + strings.Repeat("* * * * * x\n", 20_000)
		entries := crontab(t, text, importer.CrontabOptions{Task: "t", Timezone: "UTC"})
		for _, e := range entries {
			if _, err := zone.Load(e.Definition.Timezone); err == nil || len(e.Definition.Timezone) > 100 ||
				!utf8.ValidString(e.Definition.Timezone) {
				t.Fatalf("in the zone %q (%d bytes): %v", e.Definition.Timezone, len(e.Definition.Timezone), err)
			}
		}
		if len(entries) != 20_000 {
			t.Errorf("%d entries", len(entries))
		}
	}
}

// TestLongTextsOfAnApplication has texts that what is told of each entry may repeat: all that are too long are told.
func TestLongTextsOfAnApplication(t *testing.T) {
	t.Parallel()
	members := []string{
		"application", "host", "directory", "timezone", "rows_timezone", "naive_timezone", "beat_scheduler",
		"default_queue", "celery",
	}
	var text strings.Builder
	for _, m := range members {
		fmt.Fprintf(&text, `,%q:%q`, m, strings.Repeat("x", 1025))
	}
	_, err := importer.ParseApplication([]byte(`{"version":6` + text.String() + `}`))
	for _, m := range members {
		if err == nil || !strings.Contains(err.Error(), m+" has 1025 bytes") {
			t.Errorf("%s is not told of: %v", m, err)
		}
	}
	if _, err := importer.ParseApplication([]byte(`{"version":6,"application":"x"}`)); err != nil {
		t.Error(err)
	}
}

// TestLongCrontabLines reads what took time with the square of its length, and stops between lines when it is told to.
func TestLongCrontabLines(t *testing.T) {
	options := importer.CrontabOptions{Task: "t", Timezone: "UTC"}
	text := "0 9 * * * good\n" + "0 9 * * * " + strings.Repeat("x", 60<<20) + "\n" +
		strings.Repeat("0 9 * * * x"+strings.Repeat(`%\%`, 20_000)+"\n", 20) + "0 9 * * * last\n"
	var entries []importer.Entry
	took := testenv.Processor(t, func() { entries = crontab(t, text, options) })
	once := testenv.Processor(t, func() { _ = strings.Count(text, "%%") })
	if took > 500*once { // the square of a line's length would be many thousand times as much
		t.Errorf("it takes %v of a processor, and to look through the text once %v", took, once)
	}
	if len(entries) != 23 || entries[0].Refused != "" || entries[22].Refused != "" || entries[2].Refused != "" ||
		!strings.HasPrefix(entries[1].Refused, "line_too_long: line 2 ") {
		t.Errorf("%d entries, the second refused for %q", len(entries), entries[1].Refused)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := importer.ParseCrontab(stopped, text, options); !errors.Is(err, context.Canceled) {
		t.Errorf("%v after it was told to stop", err)
	}
	_, err := importer.ParseCrontab(t.Context(), strings.Repeat("V="+strings.Repeat("v", 60_000)+"\n", 20), options)
	if err == nil || !strings.Contains(err.Error(), "assignments") {
		t.Errorf("%v for a MiB of assignments", err)
	}
}

// TestHostileRedBeat has hashes that are too long together, each of them, and the set of them.
func TestHostileRedBeat(t *testing.T) {
	client := testenv.Redis(t)
	read := func(name string) {
		t.Helper()
		var err error
		most := testenv.Heap(t, func() {
			_, err = importer.ReadRedBeat(t.Context(), client,
				importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix})
		})
		if err == nil || !strings.Contains(err.Error(), "64") || most > 200<<20 {
			t.Errorf("%s: %d MiB, %v", name, most>>20, err)
		}
		client.FlushDB(t.Context())
	}
	entry := func(key, definition string) {
		client.HSet(t.Context(), key, "definition", definition)
		client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: key})
	}
	for n := range 300 {
		entry(fmt.Sprint("redbeat:", n), strings.Repeat("x", 1<<20))
	}
	read("300 of a MiB each")
	entry("redbeat:long", strings.Repeat("x", 100<<20))
	read("one of 100 MiB")
	entry("redbeat:"+strings.Repeat("x", 100<<20), "{}")
	read("a name of 100 MiB")
}
