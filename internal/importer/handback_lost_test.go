package importer_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestHandingBackWhatTheOldBeatCannotDo hands back schedules that were disabled, enabled, deleted or finished here, and
// that have here what no old beat knows: RedBeat's entries are on and off as the schedules are here, and each entry
// with which RedBeat or Celery's beat would do otherwise is told.
func TestHandingBackWhatTheOldBeatCannotDo(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	if _, err := pool.Exec(t.Context(), `insert into tactus.leases (name, holder, epoch, expires_at, watermark)
		values ('beat', 'a', 1, clock_timestamp(), clock_timestamp() + interval '1 minute')`); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store.PutCalendar(t.Context(), domain.Calendar{Name: "holidays", Days: []calendar.Item{{From: "2127-01-01"}}}, 0); err != nil {
		t.Fatal(err)
	}
	no := false
	made := map[string]domain.Schedule{}
	for name, d := range map[string]domain.Definition{
		"plain": {}, "paused": {}, "paused until": {}, "deleted": {}, "deleted and made anew": {}, "completed": {MaxRuns: 1},
		"paused to go back": {}, "paused with others": {},
		"off there": {}, "off": {Enabled: &no}, "skips": {}, "unreadable": {}, "its notes are unreadable": {}, "gone there": {},
		"never ran": {}, "holidays": {ExcludeCalendars: []string{"holidays"}},
		"limits": {
			StartsAt: "2030-01-01T00:00:00Z", EndsAt: "2040-01-01T00:00:00Z", JitterSeconds: 5, SpreadSeconds: 6, ExecutionPolicy: "skip",
			MisfirePolicy: "none",
		},
	} {
		d.Name, d.TaskName, d.IntervalSeconds, d.Tags = name, "t", 86_400, []string{"import:redbeat:r", "import:celery:c"}
		s, err := store.Create(t.Context(), d, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		made[name] = s
		if name == "gone there" {
			continue
		}
		definition := `{"name": "` + name + `", "args": [1.0], "enabled": true}`
		switch name {
		case "off there", "off":
			definition = `{"name": "` + name + `", "args": [1.0], "enabled": false}`
		case "unreadable":
			definition = `{"args": [NaN]}`
		}
		meta := `{"last_run_at": null, "total_run_count": 3}`
		if name == "its notes are unreadable" {
			meta = "nothing"
		}
		key := "redbeat:" + name
		client.HSet(t.Context(), key, "definition", definition, "meta", meta)
		client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: key})
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	pause := func(p domain.Pause) func(domain.Schedule, time.Time) (domain.Pause, error) {
		return func(domain.Schedule, time.Time) (domain.Pause, error) { return p, nil }
	}
	until := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	must(store.Disable(t.Context(), made["paused"].ID, 0, pause(domain.Pause{})))
	must(store.Disable(t.Context(), made["paused until"].ID, 0, pause(domain.Pause{Until: until})))
	must(store.Disable(t.Context(), made["paused to go back"].ID, 0, pause(domain.Pause{Group: "back", Until: until})))
	must(store.Disable(t.Context(), made["paused with others"].ID, 0, pause(domain.Pause{Group: "release"})))
	must(store.Skip(t.Context(), made["skips"].ID, 0, 2, "me", ""))
	must(0, store.Delete(t.Context(), made["deleted"].ID, 0))
	must(0, store.Delete(t.Context(), made["deleted and made anew"].ID, 0))
	must(store.Create(t.Context(), domain.Definition{
		Name: "deleted and made anew", TaskName: "t", IntervalSeconds: 60, Tags: []string{"import:redbeat:r", "import:celery:c"},
	}, "", nil))
	must(pool.Exec(t.Context(), `update tactus.schedules set completed_at = clock_timestamp(), enabled = false where name = 'completed'`))

	client.HSet(t.Context(), "redbeat:made since", "definition", `{"name": "made since"}`)
	client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:made since"})
	handed, _, err := importer.HandBackRedBeat(t.Context(), pool, importer.Source{Kind: importer.RedBeat, Label: "r", Group: "back"}, client,
		importer.DefaultRedBeatPrefix, "")
	if err != nil {
		t.Fatal(err)
	}
	celery, err := importer.HandBackCelery(t.Context(), pool, importer.Source{Kind: importer.Celery, Label: "c", Group: "back"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]struct {
		told    []string // by RedBeat's hand-back, a part of each line
		enabled string
		failed  bool
		lost    int // lines of Celery's hand-back
		off     bool
	}{
		"plain":                 {enabled: "true"},
		"never ran":             {enabled: "true"},
		"paused":                {told: []string{"is disabled in RedBeat now"}, enabled: "false", off: true},
		"paused until":          {told: []string{"is disabled in RedBeat now", until.Format(time.RFC3339)}, enabled: "false", lost: 1, off: true},
		"paused to go back":     {enabled: "true"},
		"paused with others":    {told: []string{"is disabled in RedBeat now"}, enabled: "false", off: true},
		"deleted":               {told: []string{"deleted here, and RedBeat will send it"}, enabled: "true", off: true},
		"deleted and made anew": {enabled: "true"},
		"completed":             {told: []string{"is disabled in RedBeat now", "max_runs"}, enabled: "false", lost: 1, off: true},
		"off there":             {told: []string{"is enabled in RedBeat now"}, enabled: "true"},
		"off":                   {enabled: "false", off: true},
		"skips":                 {told: []string{"what is skipped here"}, enabled: "true", lost: 1},
		"limits": {
			told:    []string{"starts_at", "ends_at", "jitter_seconds", "spread_seconds", "execution_policy skip", "misfire_policy none"},
			enabled: "true", lost: 6,
		},
		"unreadable":               {told: []string{"its definition cannot be read"}, failed: true},
		"its notes are unreadable": {told: []string{"its meta is not JSON"}, enabled: "true", failed: true},
		"holidays":                 {told: []string{"the days of holidays"}, enabled: "true", lost: 1},
		"gone there":               {told: []string{"RedBeat has no entry of this name"}},
	} {
		i := slices.IndexFunc(handed, func(h importer.HandedBack) bool { return h.Name == name })
		j := slices.IndexFunc(celery.Entries, func(e importer.LastRun) bool { return e.Names[0] == name })
		if i < 0 || j < 0 {
			t.Errorf("%s is not handed back: %v %v", name, handed, celery)
			continue
		}
		h := handed[i]
		if len(h.Told) != len(want.told) || h.Failed != want.failed {
			t.Errorf("%s: told %q, failed %t, want %q", name, h.Told, h.Failed, want.told)
		}
		for n := range min(len(want.told), len(h.Told)) {
			if !strings.Contains(h.Told[n], want.told[n]) {
				t.Errorf("%s: told %q, want %q", name, h.Told[n], want.told[n])
			}
		}
		if e := celery.Entries[j]; len(e.Lost) != want.lost || e.Off != want.off {
			t.Errorf("%s: Celery's beat is told %+v, want %d lines, off %t", name, e, want.lost, want.off)
		}
		var entry struct {
			Name    string
			Args    json.RawMessage
			Enabled json.RawMessage
		}
		definition := client.HGet(t.Context(), "redbeat:"+name, "definition").Val()
		if want.enabled != "" && (json.Unmarshal([]byte(definition), &entry) != nil || string(entry.Enabled) != want.enabled ||
			string(entry.Args) != "[1.0]" || entry.Name != name) {
			t.Errorf("%s: RedBeat has %s, want enabled %s and the rest as it was", name, definition, want.enabled)
		}
	}
	if noted := client.HGet(t.Context(), "redbeat:never ran", "meta").Val(); !strings.Contains(noted, `"__type__":"datetime"`) {
		t.Errorf("RedBeat would send at once what is not due: %s", noted)
	}
	if last := handed[len(handed)-1]; len(handed) != 18 || last.Name != "made since" || last.Written ||
		!strings.Contains(last.Told[0], "no schedule here came from this entry") {
		t.Errorf("%d schedules and entries are handed back, want one for each name, the last one %+v", len(handed), last)
	}
}
