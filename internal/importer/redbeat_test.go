package importer_test

import (
	"cmp"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// redBeat are keys as RedBeat writes them: a definition, and what was noted of its runs.
var redBeat = map[string][2]string{
	"hourly": {
		`{"name": "hourly", "task": "app.a", "args": [1, "é"], "kwargs": {"a": {"b": null}}, "options": {"queue": "q", "priority": 5, "expires": 90.5, "link": ["x"]},
		  "schedule": {"__type__": "crontab", "minute": "0", "hour": "*", "day_of_week": "*", "day_of_month": "*", "month_of_year": "*"}, "enabled": true}`,
		`{"last_run_at": {"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 12, "minute": 0, "second": 0, "microsecond": 0, "timezone": "UTC"}, "total_run_count": 3}`,
	},
	"tens": {
		`{"name": "tens", "task": "app.b", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 600.0, "relative": false}, "enabled": true}`,
		`{"last_run_at": {"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 20, "minute": 55, "second": 0, "microsecond": 0, "timezone": 32400.0}}`,
	},
	"tiny":   {`{"name": "tiny", "task": "app.c", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "interval", "every": 0.5, "relative": false}, "enabled": true}`, ``},
	"rules":  {`{"name": "rules", "task": "app.c", "args": [], "kwargs": {}, "options": {}, "schedule": {"__type__": "rrule", "freq": 5}, "enabled": false}`, `{"last_run_at": null}`},
	"harm":   {`{"name": "harm", "task": "app.c", "args": [], "kwargs": {}, "options": {"headers": {"x": {"__type__": "datetime"}}}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}`, ``},
	"lost":   {``, ``},
	"marked": {"\ufeff{}", ``},
	"number": {`{"name": "number", "task": "app.b", "args": [], "kwargs": {}, "options": {}, "schedule": 45, "enabled": true}`, ``},
	"times": {`{"name": "times", "task": "app.b", "args": [{"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 20, "minute": 55, "second": 0, "microsecond": 0, "timezone": "UTC"}, 1e400],
		"kwargs": {"a\u00e9": {"b": {"__type__": "datetime", "year": 2027, "month": 3, "day": 2, "hour": 20, "minute": 55, "second": 0, "microsecond": 7, "timezone": 32400.0}}, "c": "\ud83d"},
		"options": {"queue": "q"}, "schedule": {"__type__": "interval", "every": 60.0, "relative": false}, "enabled": true}`, ``},
	"weekday": {`{"name": "weekday", "task": "app.b", "args": [{"__type__": "weekday", "wkday": 1}], "kwargs": {}, "options": {"queue": "q"}, "schedule": 60, "enabled": true}`, ``},
}

func TestRedBeat(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	for name, fields := range redBeat {
		if err := client.ZAdd(t.Context(), "redbeat::schedule",
			redis.Z{Member: "redbeat:" + name, Score: float64(name[0])}).Err(); err != nil {
			t.Fatal(err)
		}
		for i, field := range []string{"definition", "meta"} {
			if fields[i] == "" {
				continue
			}
			if err := client.HSet(t.Context(), "redbeat:"+name, field, fields[i]).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	read := func() []importer.Entry {
		t.Helper()
		entries, err := importer.ReadRedBeat(t.Context(), client,
			importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "America/New_York"})
		if err != nil {
			t.Fatal(err)
		}
		return entries
	}
	for _, e := range read() {
		if e.Definition.Name == "marked" && !strings.Contains(e.Refused, "byte-order mark") {
			t.Errorf("a byte-order mark is told as %s", e.Refused)
		}
	}
	const differs = "it would not run as it did"
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York"),
		`harm | refused | every 60 s | value_unreadable at /headers/x`,
		`hourly | refused | 0 * * * * America/New_York | `+differs+` | dst expires options`,
		`lost | refused | - | orphaned`,
		`marked | refused | - | json_invalid at /definition`,
		`number | refused | every 45 s | `+differs+` | dst queue`,
		`rules | refused | - | trigger_unsupported at /schedule`,
		`tens | refused | every 600 s | `+differs+` | dst queue`,
		`times | refused | every 60 s | `+differs+` | dst args`,
		`tiny | refused | every 0.5 s | interval_too_small at /interval_seconds`,
		`weekday | refused | every 60 s | args_unreadable at /args`)
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York", "queue", "args", "dst", "expires", "options"),
		`harm | refused | every 60 s | value_unreadable at /headers/x`,
		`hourly | new | 0 * * * * America/New_York | dst expires options`,
		`lost | refused | - | orphaned`,
		`marked | refused | - | json_invalid at /definition`,
		`number | new | every 45 s | dst queue`,
		`rules | refused | - | trigger_unsupported at /schedule`,
		`tens | new | every 600 s | dst queue`,
		`times | new | every 60 s | dst args`,
		`tiny | refused | every 0.5 s | interval_too_small at /interval_seconds`,
		`weekday | refused | every 60 s | args_unreadable at /args`)
	if s := named(t, pool, "times"); string(s.Args) != `["2027-03-02T20:55:00Z",1e400]` ||
		string(s.Kwargs) != `{"a\u00e9":{"b":"2027-03-02T20:55:00.000007+09:00"},"c":"\ud83d"}` {
		t.Errorf("%s %s", s.Args, s.Kwargs)
	}
	hourly := named(t, pool, "hourly")
	if string(hourly.Args) != `[1,"é"]` || string(hourly.Kwargs) != `{"a":{"b":null}}` || hourly.Queue != "q" ||
		*hourly.Priority != 5 || hourly.ExpiresSeconds != 91 {
		t.Errorf("%+v", hourly)
	}
	tens := named(t, pool, "tens")
	if due, ok := tens.Next(tens.EffectiveFrom); !ok || due.Minute()%10 != 5 || due.Second() != 0 ||
		!due.After(tens.EffectiveFrom) {
		t.Errorf("it does not go on from its last run: %s", due)
	}
	// It has run meanwhile, one was edited and one was deleted.
	for key, meta := range map[string]string{"redbeat:tens": `{"last_run_at": {"year": 2027, "month": 3, "day": 2, "hour": 12, "minute": 5, "second": 1, "microsecond": 7, "timezone": "UTC"}}`} {
		if err := client.HSet(t.Context(), key, "meta", meta).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"harm", "lost", "marked", "number", "rules", "times", "tiny", "weekday", "hourly"} {
		if err := client.ZRem(t.Context(), "redbeat::schedule", "redbeat:"+name).Err(); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, bring(t, pool, importer.RedBeat, read(), "America/New_York"), `tens | same | every 600 s | instants dst queue`,
		`times | gone | every 60 s`, `number | gone | every 45 s`, `hourly | gone | 0 * * * * America/New_York`)
	if after := named(t, pool, "tens"); after.Version != 1 {
		t.Errorf("that it ran is no change: %+v", after)
	}
	if _, err := outbox.GetByName(t.Context(), pool, "hourly"); err == nil {
		t.Error("what is gone was not pruned")
	}
}

// TestRedBeatOfAnApplication has the application say what RedBeat's keys leave out.
func TestRedBeatOfAnApplication(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, celeryApp))
	if err != nil {
		t.Fatal(err)
	}
	client := testenv.Redis(t)
	for name, task := range map[string]string{"a": "app.options", "b": "app.unknown"} {
		definition := fmt.Sprintf(
			`{"name": %q, "task": %q, "schedule": {"__type__": "crontab", "minute": "0", "hour": "9"}}`, name, task)
		if err := client.HSet(t.Context(), "redbeat:"+name, "definition", definition).Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:" + name}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := importer.ReadRedBeat(t.Context(), client, importer.RedBeatOptions{
		Prefix: importer.DefaultRedBeatPrefix, Application: &application, Timezone: application.Timezone,
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	equal(t, bring(t, pool, importer.RedBeat, entries, "UTC"),
		"a | new | 0 9 * * * Europe/Berlin",
		"b | refused | 0 9 * * * Europe/Berlin | it would not run as it did | queue")
	if s := named(t, pool, "a"); s.Queue != "own" || s.ExpiresSeconds != 60 || *s.Priority != 3 {
		t.Errorf("%+v", s)
	}
}

// TestHandingBackToRedBeat has entries say when they ran last. A count that RedBeat keeps stays.
func TestHandingBackToRedBeat(t *testing.T) {
	t.Parallel()
	pool, client := testenv.Database(t), testenv.Redis(t)
	store, source := outbox.NewStore(pool, "", handover.Limits{}.Check), importer.Source{Kind: importer.RedBeat, Label: "r"}
	ran := time.Now().Add(-time.Hour).Truncate(time.Microsecond).UTC()
	yesterday := ran.AddDate(0, 0, -1)
	meta := fmt.Sprintf(`{"last_run_at": {"__type__": "datetime", "year": %d, "month": %d, "day": %d, "hour": 0, "minute": 0, "second": 0,
		"microsecond": 0, "timezone": "UTC"}, "total_run_count": 3}`, yesterday.Year(), yesterday.Month(), yesterday.Day())
	crontabs := map[string]string{"missed here": fmt.Sprintf("%d %d * * *", ran.Minute(), ran.Hour())}
	for name, ago := range map[string]time.Duration{
		"ran": 0, "ran later there": -48 * time.Hour, "never ran": 0,
		"missed here": 0, "gone there": 0,
	} {
		expression := cmp.Or(crontabs[name], "0 0 1 1 *")
		s, err := store.Create(t.Context(), domain.Definition{
			Name: name, TaskName: "t", CronExpression: expression,
			Tags: []string{"import:redbeat:r"},
		}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if name != "never ran" && name != "missed here" {
			if _, err := pool.Exec(t.Context(),
				`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
				values ($1, $2, $3, 'scheduled', 'succeeded', 1, $3)`, outbox.NewID(), s.ID, ran.Add(ago)); err != nil {
				t.Fatal(err)
			}
		}
		if name == "gone there" {
			continue
		}
		key := "redbeat:" + name
		if name == "ran" {
			key = "redbeat: ran " // whose schedule is without the spaces
			if err := client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: key}).Err(); err != nil {
				t.Fatal(err)
			}
		}
		if err := client.HSet(t.Context(), key, "definition", "{}", "meta", meta).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pool.Exec(t.Context(),
		`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
			values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`); err != nil {
		t.Fatal(err)
	}
	handed, _, err := importer.HandBackRedBeat(t.Context(), pool, source, client, importer.DefaultRedBeatPrefix, "")
	var names []string
	for _, h := range handed {
		if h.Written {
			names = append(names, h.Name)
		}
		if (len(h.Told) > 0) != (h.Name == "gone there") {
			t.Errorf("%s: %v", h.Name, h.Told)
		}
	}
	equal(t, names, "missed here", "ran", "ran later there")
	if err != nil || client.Exists(t.Context(), "redbeat:gone there").Val() != 0 {
		t.Errorf("%v", err)
	}
	for name, want := range map[string][]string{
		"ran": {
			fmt.Sprintf(`"hour":%d,`, ran.Hour()),
			fmt.Sprintf(`"microsecond":%d,`, ran.Nanosecond()/1000), `"total_run_count":3`,
		},
		"ran later there": {fmt.Sprintf(`"day":%d,`, yesterday.Day()), `"hour":0,`, `"total_run_count":3`},
		"never ran":       {`"hour": 0,`},
		"missed here": {
			fmt.Sprintf(`"day":%d,`, time.Now().UTC().Day()),
			fmt.Sprintf(`"hour":%d,`, time.Now().UTC().Hour()),
		},
	} {
		if name == "ran" {
			name = " ran "
		}
		for _, part := range want {
			if noted := client.HGet(t.Context(), "redbeat:"+name, "meta").Val(); !strings.Contains(noted, part) {
				t.Errorf("%s: %s has no %s", name, noted, part)
			}
		}
	}
}
