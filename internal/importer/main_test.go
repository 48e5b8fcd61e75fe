package importer_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var now = time.Date(2027, 3, 2, 12, 0, 0, 0, time.UTC)

// bring plans and applies, and gives the plan in words.
func bring(t *testing.T, pool *pgxpool.Pool, kind string, entries []importer.Entry, timezone string,
	accept ...string,
) (told []string) {
	t.Helper()
	return bringFrom(t, pool, importer.Source{Kind: kind, Label: "here"}, entries, timezone, accept...)
}

func bringFrom(t *testing.T, pool *pgxpool.Pool, source importer.Source, entries []importer.Entry, timezone string,
	accept ...string,
) (told []string) {
	t.Helper()
	i := importer.New(pool, source, timezone, accept...)
	rows, err := i.Plan(t.Context(), entries, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Apply(t.Context(), rows, true); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		codes := []string{}
		for _, d := range r.Differences {
			codes = append(codes, d.Code)
		}
		reason, _, _ := strings.Cut(r.Reason, ":")
		words := []string{
			r.Name, r.Change, r.Trigger, reason, strings.Join(codes, " "), strings.Join(r.Changes, "; "),
			strings.Join(r.Notes, "; "),
		}
		told = append(told, strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " | "))
	}
	return told
}

func equal(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func named(t *testing.T, pool *pgxpool.Pool, name string) domain.Schedule {
	t.Helper()
	s, err := outbox.GetByName(t.Context(), pool, name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return s
}

// TestOneBadEntryIsRefusedAlone has entries that PostgreSQL or Redis would end the whole import for.
func TestOneBadEntryIsRefusedAlone(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	entries := crontab(t, "0 9 * * * a\x00b\n0 9 * * * caf\xe9\n0 9 * * * good\n",
		importer.CrontabOptions{Task: "t", Timezone: "UTC"})
	equal(t, bring(t, pool, importer.Crontab, entries, "UTC"),
		"cron line 1 | refused | - | nul_unsupported", "cron line 2 | refused | - | utf8_invalid",
		"cron good 770e6076 | new | 0 9 * * * UTC")
	// What the API would not keep, nor edit or run by hand, is not kept by an import either.
	large := crontab(t, "LARGE="+strings.Repeat("x", domain.MaxPayload-10)+"\n0 9 * * * large\n",
		importer.CrontabOptions{Task: "t", Timezone: "UTC"})
	equal(t, bring(t, testenv.Database(t), importer.Crontab, large, "UTC"),
		"cron large d35c416a | refused | 0 9 * * * UTC | payload_too_large")

	client := testenv.Redis(t)
	entry := func(key, definition string) {
		client.HSet(t.Context(), key, "definition", definition)
		client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: key})
	}
	for key, name := range map[string]string{
		"redbeat:a": `no\u0000text`, "redbeat:no\x00definition": "",
		"redbeat:caf\xe9": "", "redbeat:d": "good",
	} {
		definition := `{"name":"` + name +
			`","task":"app.a","args":[],"kwargs":{},"options":{"queue":"q"},"schedule":60,"enabled":true}`
		if name == "" {
			definition = "{"
		}
		entry(key, definition)
	}
	entry("redbeat:e", `{"name":"task","task":"app\u0000a","args":[],"kwargs":{},"options":{"queue":"q"},"schedule":60,"enabled":true}`)
	client.Set(t.Context(), "redbeat:f", "no hash", 0)
	client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:f"})
	entries, err := importer.ReadRedBeat(t.Context(), client,
		importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(t, pool, importer.RedBeat, entries, "UTC"),
		"no\x00text | refused | every 60 s | utf8_invalid at /name",
		"caf\xe9 | refused | - | json_invalid at /definition", "good | new | every 60 s",
		"task | refused | every 60 s | text_invalid at /task_name", "f | refused | - | orphaned",
		"no\x00definition | refused | - | json_invalid at /definition")
}
