package importer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func crontab(t *testing.T, text string, options importer.CrontabOptions) []importer.Entry {
	t.Helper()
	entries, err := importer.ParseCrontab(text, options)
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
	for name, text := range map[string]string{"lines times assignments": assignments.String() + lines, "lines": strings.Repeat(lines, 10)} {
		var err error
		most := testenv.Heap(t, func() { _, err = importer.ParseCrontab(text, importer.CrontabOptions{Task: "t", Timezone: "UTC"}) })
		if err == nil || !strings.Contains(err.Error(), "more than 64 MiB") || most > 256<<20 {
			t.Errorf("%s: %d MiB, %v", name, most>>20, err)
		}
	}
	if entries := crontab(t, lines, importer.CrontabOptions{Task: "t", Timezone: "UTC"}); len(entries) != 20_000 {
		t.Errorf("%d entries", len(entries))
	}
}

// TestHostileRedBeat has hashes that are too long together, each of them, and the set of them.
func TestHostileRedBeat(t *testing.T) {
	client := testenv.Redis(t)
	read := func(name string) {
		t.Helper()
		var err error
		most := testenv.Heap(t, func() {
			_, err = importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix})
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
