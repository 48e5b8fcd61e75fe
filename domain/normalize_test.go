package domain_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
)

// faults reads and normalizes a definition, and gives what is wrong as "code /field".
func faults(t testing.TB, text string) (list []string) {
	t.Helper()
	d, err := domain.Decode([]byte(text))
	if err == nil {
		_, _, err = d.Normalize(domain.Context{ID: scheduleID, Now: now})
	}
	for _, f := range domain.FaultsOf(err) {
		if f.Message == "" {
			t.Errorf("%s says nothing to people", f.Code)
		}
		if len(f.Message) > 4_000 || len(f.Field) > 1_000 {
			t.Errorf("%s repeats %d bytes of its input", f.Code, len(f.Message)+len(f.Field))
		}
		list = append(list, strings.TrimSpace(f.Code+" "+f.Field))
	}
	return list
}

// TestFaults reaches every code that a definition alone can have.
func TestFaults(t *testing.T) {
	t.Parallel()
	const ok = `"task_name": "a", "cron_expression": "0 9 * * *"`
	for _, c := range []struct{ definition, want string }{
		{`{"task_name": "a"}`, "trigger_missing"},
		{`{` + ok + `, "interval_seconds": 60}`, "trigger_ambiguous /interval_seconds"},
		{`{` + ok + `, "run_at": "2026-05-01T00:00:00Z"}`, "trigger_ambiguous /run_at"},
		{`{` + ok + `, "preset_name": "daily_noon"}`, "trigger_ambiguous /preset_name"},
		{`{"task_name": "a", "cron_expression": "TZ=Asia/Tokyo 0 9 * * *", "timezone": "UTC"}`, "trigger_ambiguous /timezone"},
		{`{"task_name": "a", "preset_name": "sometimes"}`, "preset_unknown /preset_name"},
		{`{"task_name": "a", "cron_expression": "0 9 * * 8"}`, "cron_syntax /cron_expression"},
		{`{"task_name": "a", "cron_expression": "0 9 * * *", "cron_seconds": true}`, "cron_syntax /cron_expression"},
		{`{"task_name": "a", "cron_expression": "0 0 31 2 *"}`, "cron_never_fires /cron_expression"},
		{`{` + ok + `, "timezone": "Asia/Tokio"}`, "timezone_unknown /timezone"},
		{`{` + ok + `, "timezone": "EST"}`, "timezone_abbreviation /timezone"},
		{`{` + ok + `, "timezone": "CDT"}`, "timezone_abbreviation /timezone"},
		{`{` + ok + `, "timezone": "Local"}`, "timezone_abbreviation /timezone"},
		{`{"task_name": "a", "interval_seconds": 0.5}`, "interval_too_small /interval_seconds"},
		{`{"task_name": "a", "interval_seconds": -60}`, "interval_too_small /interval_seconds"},
		{`{"task_name": "a", "interval_seconds": 1.5}`, "trigger_unsupported /interval_seconds"},
		{`{"task_name": "a", "cron_expression": "@every 1500ms"}`, "trigger_unsupported /cron_expression"},
		{`{"task_name": "a", "interval_seconds": 1e10}`, "out_of_range /interval_seconds"},
		{`{"task_name": "a", "run_at": "2026-03-01T12:00:00Z"}`, "at_in_past /run_at"},
		{`{"task_name": "a", "run_at": "2026-03-01T20:59", "timezone": "Asia/Tokyo"}`, "at_in_past /run_at"},
		{`{"task_name": "a", "run_at": "tomorrow"}`, "time_invalid /run_at"},
		{`{"task_name": "a", "run_at": "2026-03-08T02:30", "timezone": "America/New_York", "dst_gap": "skip"}`, "time_invalid /run_at"},
		{`{"task_name": "a", "run_at": "2011-12-30T09:00", "timezone": "Pacific/Apia"}`, "time_invalid /run_at"},
		{`{` + ok + `, "starts_at": "2026-05-02T00:00:00Z", "ends_at": "2026-05-01T00:00:00Z"}`, "end_before_start /ends_at"},
		{`{` + ok + `, "ends_at": "2026-03-02T08:59:59Z"}`, "no_fire_in_window /ends_at"},
		{`{` + ok + `, "starts_at": "2026-05-01T09:00:01Z", "ends_at": "2026-05-02T08:59:59Z"}`, "no_fire_in_window /ends_at"},
		{`{"task_name": "a", "rrule": "FREQ=FORTNIGHTLY"}`, "rrule_syntax /rrule"},
		{`{"task_name": "a", "rrule": "DTSTART:20260101T000000\nFREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}`, "rrule_never_fires /rrule"},
		{`{"task_name": "a", "rrule": "DTSTART:20250101T000000\nFREQ=DAILY;COUNT=3"}`, "rrule_never_fires /rrule"},
		{`{"task_name": "a", "rrule": "DTSTART;TZID=Asia/Tokyo:20270101T000000\nFREQ=DAILY", "timezone": "Europe/Berlin"}`, "trigger_ambiguous /timezone"},
		{`{"task_name": "a", "rrule": "FREQ=DAILY", "interval_seconds": 60}`, "trigger_ambiguous /rrule"},
		{`{"task_name": "a", "cron_expression": "0 0 12 * * *", "cron_dialect": "quartz"}`, "cron_syntax /cron_expression"},
		{`{"task_name": "a", "cron_expression": "0 0 12 * * ? 2025", "cron_dialect": "quartz"}`, "cron_never_fires /cron_expression"},
		{`{"task_name": "a", "cron_expression": "0 0 0 29 2 ? 2027", "cron_dialect": "quartz"}`, "cron_never_fires /cron_expression"},
		{`{"task_name": "a", "cron_expression": "cron(0 12 * * ? *)", "cron_dialect": "aws", "cron_seconds": true}`, "cron_syntax /cron_seconds"},
		{`{"task_name": "a", "cron_expression": "at(2026-03-08T02:30:00)", "cron_dialect": "aws", "timezone": "America/New_York", "dst_gap": "skip"}`, "time_invalid /cron_expression"},
		{`{"task_name": "a", "cron_expression": "at(2025-03-08T02:30:00)", "cron_dialect": "aws"}`, "at_in_past /run_at"},
		{`{"task_name": "a", "cron_expression": "rate(40000 days)", "cron_dialect": "aws"}`, "out_of_range /cron_expression"},
		{`{"task_name": "a", "cron_expression": "at(2126-11-20T13:00:00)", "cron_dialect": "aws", "run_at": "2126-11-20T13:00:00"}`, "trigger_ambiguous /run_at"},
		{`{` + ok + `, "jitter_seconds": 86400}`, "jitter_too_large /jitter_seconds"},
		{`{"task_name": "a", "interval_seconds": 60, "jitter_seconds": 60}`, "jitter_too_large /jitter_seconds"},
		{`{` + ok + `, "spread_seconds": 86400}`, "spread_too_large /spread_seconds"},
		{`{"task_name": "a", "interval_seconds": 60, "spread_seconds": 60}`, "spread_too_large /spread_seconds"},
		{`{"task_name": "a", "interval_seconds": 60, "jitter_seconds": 30, "spread_seconds": 30}`, "spread_too_large /spread_seconds"},
		{`{"task_name": "a", "interval_seconds": 60, "jitter_seconds": 60, "spread_seconds": 60}`, "jitter_too_large /jitter_seconds"},
		{`{"task_name": "a", "interval_seconds": 60, "spread_seconds": -1}`, "out_of_range /spread_seconds"},
		{`{` + ok + `, "name": "a\u0000b"}`, "name_invalid /name"},
		{`{` + ok + `, "name": "019ca93d-4000-7000-8000-00000000002a"}`, "name_invalid /name"},
		{`{` + ok + `, "name": "` + strings.Repeat("ん", 201) + `"}`, "name_invalid /name"},
		{`{"cron_expression": "0 9 * * *", "task_name": " "}`, "task_missing /task_name"},
		{`{` + ok + `, "args": {"a": 1}}`, "args_not_list /args"},
		{`{` + ok + `, "args": "a"}`, "args_not_list /args"},
		{`{` + ok + `, "kwargs": [1]}`, "kwargs_not_object /kwargs"},
		{`{` + ok + `, "task_params": [1]}`, "kwargs_not_object /task_params"},
		{`{` + ok + `, "priority": 256}`, "priority_range /priority"},
		{`{` + ok + `, "priority": -1}`, "priority_range /priority"},
		{`{` + ok + `, "queue": "q", "stream": "s"}`, "target_ambiguous /queue"},
		{`{` + ok + `, "stream": "tactus:jobs"}`, "target_ambiguous /stream"},
		{`{` + ok + `, "stream": "{tactus:events}:epoch"}`, "target_ambiguous /stream"},
		{`{` + ok + `, "stream": "celery"}`, "target_ambiguous /stream"},
		{`{` + ok + `, "stream": "_kombu.binding.celery"}`, "target_ambiguous /stream"},
		{`{` + ok + `, "exchange": "celery.pidbox", "routing_key": "k"}`, "target_ambiguous /exchange"},
		{`{` + ok + `, "exchange": "celeryev", "routing_key": "k"}`, "target_ambiguous /exchange"},
		{`{` + ok + `, "stream": "celery-task-meta-1"}`, "target_ambiguous /stream"},
		{`{` + ok + `, "queue": "unacked"}`, "target_ambiguous /queue"},
		{`{` + ok + `, "queue": "tactus:events"}`, "target_ambiguous /queue"},
		{`{` + ok + `, "kwargs": {"a": 1}, "task_params": {"a": 2}}`, "target_ambiguous /task_params"},
		{`{` + ok + `, "headers": {"eta": 1}}`, "target_ambiguous /headers/eta"},
		{`{` + ok + `, "stream": "s", "execution_policy": "skip"}`, "overlap_requires_tracking /execution_policy"},
		{`{` + ok + `, "stream": "s", "execution_policy": "queue"}`, "overlap_requires_tracking /execution_policy"},
		{`{` + ok + `, "misfire_policy": "some"}`, "choice_invalid /misfire_policy"},
		{`{` + ok + `, "misfire_grace_seconds": -1}`, "out_of_range /misfire_grace_seconds"},
		{`{` + ok + `, "max_runs": -1}`, "out_of_range /max_runs"},
		{`{` + ok + `, "tags": [""]}`, "text_invalid /tags/0"},
		{`{` + ok + `, "headers": {"ETA": 1}}`, "target_ambiguous /headers/ETA"},
		{`{` + ok + `, "headers": {"` + strings.Repeat("x", 201) + `": 1}}`, "text_invalid /headers/" + strings.Repeat("x", 191) + "…"},
		{`{"task_name": "a", "cron_expression": "0 9 * * 1` + strings.Repeat(",1", 500) + `"}`, "text_invalid /cron_expression"},
		{`{` + ok + `, "timezone": "` + strings.Repeat("x", 1000) + `"}`, "text_invalid /timezone"},
		{`{"task_name": "a", "run_at": "2126-05-01T00:00:00.` + strings.Repeat("0", 1000) + `Z"}`, "time_invalid /run_at"},
		{`{` + ok + `, "cronExpression": "0 9 * * *"}`, "unknown_field /cronExpression"},
		{`{` + ok + `, "priority": "high"}`, "type_invalid /priority"},
		{`{"args": "` + strings.Repeat("x", domain.MaxPayload) + `"}`, "payload_too_large"},
		{`[]`, "json_invalid"},
		{`{`, "json_invalid"},
		{"{\"name\": \"\xff\"}", "utf8_invalid"},
	} {
		if diff := cmp.Diff([]string{c.want}, faults(t, c.definition)); diff != "" {
			t.Errorf("%.200s (-want +got):\n%s", c.definition, diff)
		}
	}
}

// TestFaultsAllAtOnce holds that one answer has every fault.
func TestFaultsAllAtOnce(t *testing.T) {
	t.Parallel()
	got := faults(t, `{
		"name": "019ca93d-4000-7000-8000-00000000002a", "misfire_policy": "some", "cron_expression": "0 25 * * *",
		"timezone": "EST", "args": {}, "kwargs": [], "priority": 300, "queue": "q", "stream": "tactus:x",
		"execution_policy": "skip"
	}`)
	want := []string{
		"name_invalid /name", "choice_invalid /misfire_policy", "overlap_requires_tracking /execution_policy",
		"cron_syntax /cron_expression", "timezone_abbreviation /timezone", "task_missing /task_name", "args_not_list /args",
		"kwargs_not_object /kwargs", "priority_range /priority", "target_ambiguous /stream", "target_ambiguous /priority",
		"target_ambiguous /queue",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got = faults(t, `{"cron": "0 9 * * *", "task_name": 5, "tags": "t"}`)
	want = []string{"unknown_field /cron", "type_invalid /tags", "type_invalid /task_name"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reading (-want +got):\n%s", diff)
	}
}

// TestFaultsBesideOthers holds that no fault hides one of another member, be it which trigger is meant or what is wrong
// with the name.
func TestFaultsBesideOthers(t *testing.T) {
	t.Parallel()
	const named = `"task_name": "a", "name": "019ca93d-4000-7000-8000-00000000002a"`
	for _, c := range []struct {
		definition string
		want       []string
	}{
		{`"cron_expression": "61 * * * *", "interval_seconds": 60, "timezone": "EST", "task_name": "a"`, []string{
			"trigger_ambiguous /interval_seconds", "cron_syntax /cron_expression", "timezone_abbreviation /timezone",
		}},
		{`"cron_expression": "@every 5s", "interval_seconds": 0.5, "rrule": "FREQ=FORTNIGHTLY", "run_at": "tomorrow", "starts_at": "x", "task_name": "a"`, []string{
			"interval_too_small /interval_seconds", "trigger_ambiguous /interval_seconds", "rrule_syntax /rrule",
			"time_invalid /run_at", "time_invalid /starts_at",
		}},
		{`"preset_name": "hourly", "interval_seconds": 0.5, "ends_at": "x", "task_name": "a"`, []string{
			"preset_unknown /preset_name", "interval_too_small /interval_seconds", "trigger_ambiguous /interval_seconds", "time_invalid /ends_at",
		}},
		{`"timezone": "EST", "starts_at": "2026-05-02T00:00Z", "task_name": "a"`, []string{"trigger_missing", "timezone_abbreviation /timezone"}},
		{`"cron_expression": "H * * * *", "cron_dialect": "jenkins", "task_name": "a"`, []string{"choice_invalid /cron_dialect"}},
		{`"cron_expression": "cron(61 0 * * ? *)", "cron_dialect": "aws", "cron_seconds": true, "task_name": "a"`, []string{
			"cron_syntax /cron_seconds", "cron_syntax /cron_expression",
		}},
		{named + `, "run_at": "2026-03-01T12:00:00Z"`, []string{"name_invalid /name", "at_in_past /run_at"}},
		{named + `, "cron_expression": "0 9 * * *", "ends_at": "2026-03-02T08:59:59Z"`, []string{"name_invalid /name", "no_fire_in_window /ends_at"}},
		{
			named + `, "cron_expression": "0 9 * * *", "jitter_seconds": 86400, "starts_at": "2026-05-02T00:00:00Z", "ends_at": "2026-05-01T00:00:00Z"`,
			[]string{"name_invalid /name", "end_before_start /ends_at", "jitter_too_large /jitter_seconds"},
		},
	} {
		if diff := cmp.Diff(c.want, faults(t, "{"+c.definition+"}")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.definition, diff)
		}
	}
}

// TestCountCountsWhatIsToCome has recurrences without a DTSTART: COUNT leaves as many due times as it says, and they
// are those of the same recurrence without it.
func TestCountCountsWhatIsToCome(t *testing.T) {
	t.Parallel()
	due := func(now time.Time, rule, zone string) (all []time.Time) {
		d, _, err := domain.Definition{TaskName: "a", RRule: rule, Timezone: zone}.Normalize(domain.Context{Now: now})
		if err != nil {
			t.Errorf("%s at %s: %v", rule, now, err)
			return nil
		}
		trigger, anchor := d.Trigger()
		r, err := trigger.Recurrence(anchor)
		if err != nil {
			t.Fatal(err)
		}
		for at, ok := r.Next(now); ok && len(all) < 4; at, ok = r.Next(at) {
			all = append(all, at)
		}
		return all
	}
	for _, rule := range []string{
		"FREQ=SECONDLY", "FREQ=SECONDLY;INTERVAL=7", "FREQ=MINUTELY;INTERVAL=45", "FREQ=HOURLY;INTERVAL=5", "FREQ=DAILY", "FREQ=DAILY;INTERVAL=3",
		"FREQ=DAILY;BYHOUR=9", "FREQ=WEEKLY;INTERVAL=2", "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,WE;WKST=SU", "FREQ=MONTHLY;INTERVAL=2", "FREQ=MONTHLY;BYDAY=1SU,FR",
		"FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SU;BYSETPOS=1,-1", "FREQ=YEARLY", "FREQ=YEARLY;BYMONTH=3,11", "FREQ=YEARLY;BYWEEKNO=9,20", "FREQ=YEARLY;BYYEARDAY=60,-1",
	} {
		for _, zone := range []string{"UTC", "America/New_York", "Australia/Lord_Howe"} {
			for _, at := range []string{"2026-03-01T12:00:00Z", "2026-03-01T12:00:00.5Z", "2026-03-07T12:00:00Z", "2026-11-02T06:30:00.999Z", "2027-12-31T00:00:00Z"} {
				now, err := time.Parse(time.RFC3339Nano, at)
				if err != nil {
					t.Fatal(err)
				}
				for count := 1; count <= 3; count++ {
					want, counted := due(now, rule, zone), due(now, fmt.Sprintf("%s;COUNT=%d", rule, count), zone)
					if diff := cmp.Diff(want[:count], counted); diff != "" {
						t.Errorf("%s;COUNT=%d in %s at %s (-want +got):\n%s", rule, count, zone, at, diff)
					}
				}
			}
		}
	}
}

func TestFaultMessages(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"cron": "cron_expression", "every": "interval_seconds", "TZ": "timezone"} {
		_, err := domain.Decode([]byte(`{"` + given + `": "x"}`))
		if err == nil || !strings.Contains(err.Error(), `do you mean "`+want+`"?`) {
			t.Errorf("%s: %v", given, err)
		}
	}
	_, err := domain.Decode([]byte(`{"cron-expression": "0 9 * * *"}`))
	if want := `unknown_field at /cron-expression: there is no such member: do you mean "cron_expression"?`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, _, err = decode(t, `{"task_name": "a", "cron_expression": "0 9 * * 8"}`).Normalize(domain.Context{Now: now})
	if want := `cron_syntax at /cron_expression: day-of-week "8": 0-7 or sun-sat (at byte 8)`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestNormalizeSpellsOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ definition, want string }{
		{
			`{"task_name": "app.a", "cron_expression": "CRON_TZ=Asia/Tokyo 0 9 ? * mon-fri", "args": [ 1, 2 ], "kwargs": {}}`,
			`{"name": "app.a-00000000002a", "auto_generated_name": true, "task_name": "app.a", "cron_expression": "0 9 * * 1-5",
				"timezone": "Asia/Tokyo", "args": [1,2]}`,
		},
		{
			`{"name": "n", "task_name": "a", "cron_expression": "@every 90s"}`,
			`{"name": "n", "task_name": "a", "interval_seconds": 90, "interval_anchor": "2026-03-01T12:00:00Z", "timezone": "UTC"}`,
		},
		{
			`{"name": "n", "task_name": "a", "preset_name": "monthly_last_business_day"}`,
			`{"name": "n", "task_name": "a", "preset_name": "monthly_last_business_day", "cron_expression": "0 9 LW * *", "timezone": "UTC"}`,
		},
		{
			`{"name": "n", "task_name": "a", "run_at": "2026-11-01 01:30", "timezone": "America/New_York"}`,
			`{"name": "n", "task_name": "a", "run_at": "2026-11-01T01:30:00-04:00", "timezone": "America/New_York"}`,
		},
		{
			`{"name": "n", "task_name": "a", "interval_seconds": 60, "interval_anchor": "2026-01-01T00:00:30Z", "task_params": {"b": 1}}`,
			`{"name": "n", "task_name": "a", "interval_seconds": 60, "interval_anchor": "2026-01-01T00:00:30Z", "timezone": "UTC",
				"kwargs": {"b":1,"schedule_id":"019ca93d-4000-7000-8000-00000000002a"}}`,
		},
	} {
		want := decode(t, c.want)
		grace, window := int64(domain.DefaultGrace), int64(domain.DefaultWindow)
		want.CronDialect, want.DSTGap, want.DSTOverlap = "celery", "auto", "auto"
		want.ExecutionPolicy, want.MisfirePolicy = "allow", "latest"
		want.MisfireGraceSeconds, want.MisfireWindowSeconds = &grace, &window
		if diff := cmp.Diff(want, normalized(t, c.definition)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.definition, diff)
		}
	}
}

func TestNormalizeWarns(t *testing.T) {
	t.Parallel()
	_, warnings, err := decode(t, `{"task_name": "a", "cron_expression": "0 0 13 * 5"}`).Normalize(domain.Context{Now: now})
	if err != nil || len(warnings) != 1 || warnings[0].Code != "day_fields_and" {
		t.Errorf("%v, %v", warnings, err)
	}
}

func TestNormalizeTakesTheDefaultZone(t *testing.T) {
	t.Parallel()
	d, _, err := decode(t, `{"task_name": "a", "cron_expression": "0 9 * * *"}`).Normalize(domain.Context{Now: now, Timezone: "Asia/Tokyo"})
	if err != nil || d.Timezone != "Asia/Tokyo" {
		t.Errorf("%q, %v", d.Timezone, err)
	}
}

func TestPresets(t *testing.T) {
	t.Parallel()
	for _, p := range domain.Presets {
		d := normalized(t, fmt.Sprintf(`{"task_name": "a", "preset_name": %q}`, p.Name))
		if d.CronExpression != p.CronExpression {
			t.Errorf("%s: %s, want %s", p.Name, d.CronExpression, p.CronExpression)
		}
		trigger, anchor := d.Trigger()
		if r, err := trigger.Recurrence(anchor); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		} else if due, ok := r.Next(now); !ok {
			t.Errorf("%s is due at %s", p.Name, due)
		}
	}
	if len(domain.Presets) != 18 {
		t.Errorf("%d presets, want 18", len(domain.Presets))
	}
}

// TestNormalizeIsIdempotent draws definitions: what was normalized once, and stored, stays as it is.
func TestNormalizeIsIdempotent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d, err := domain.Decode(drawDefinition(t))
		if err != nil {
			t.Fatal(err)
		}
		once, _, err := d.Normalize(domain.Context{ID: scheduleID, Now: now, Timezone: "Europe/Berlin"})
		if err != nil {
			return
		}
		// A day later, when the due time of some has passed.
		twice, _, err := once.Normalize(domain.Context{ID: scheduleID, Now: now.AddDate(0, 0, 1), Previous: &once})
		if err != nil {
			t.Fatalf("what was accepted is refused: %v", err)
		}
		if diff := cmp.Diff(once, twice); diff != "" {
			t.Fatalf("(-once +twice):\n%s", diff)
		}
	})
}

func drawDefinition(t *rapid.T) []byte {
	pick := func(members map[string]any, name string, values ...any) {
		if rapid.Bool().Draw(t, "has "+name) {
			members[name] = rapid.SampledFrom(values).Draw(t, name)
		}
	}
	members := map[string]any{"task_name": "app.a"}
	switch rapid.IntRange(0, 3).Draw(t, "trigger") {
	case 0:
		members["cron_expression"] = rapid.SampledFrom([]string{"@daily", "30 9 * * MON-fri", "TZ=Asia/Tokyo 0 0 L * ?", "0 0 13 * 5", "? 22-2/2 1,LW * *"}).Draw(t, "cron_expression")
	case 1:
		members["interval_seconds"] = rapid.Int64Range(1, 100_000).Draw(t, "interval_seconds")
		members["interval_anchor"] = rapid.SampledFrom([]string{"2026-01-01T00:00:00.5Z", "2026-03-29 02:30", "2026-10-25T02:30:00"}).Draw(t, "interval_anchor")
	case 2:
		members["run_at"] = rapid.SampledFrom([]string{"2026-03-01T23:00", "2026-03-29 02:30", "2026-11-01T01:30:00-05:00"}).Draw(t, "run_at")
	case 3:
		members["preset_name"] = rapid.SampledFrom(domain.Presets).Draw(t, "preset_name").Name
	}
	pick(members, "name", "n", " padded ")
	pick(members, "timezone", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe")
	pick(members, "cron_dialect", "vixie", "celery")
	pick(members, "dst_gap", "auto", "skip", "run_after")
	pick(members, "dst_overlap", "auto", "second", "both")
	pick(members, "starts_at", "2026-02-01T00:00", "2026-03-08T02:30", "2026-10-25T02:30:00+01:00")
	pick(members, "ends_at", "2028-02-01T00:00", "2027-03-28 02:30:00")
	pick(members, "jitter_seconds", 0, 1, 30)
	pick(members, "spread_seconds", 0, 1, 20)
	pick(members, "max_runs", 0, 7)
	pick(members, "args", json.RawMessage(`[ ]`), json.RawMessage(`[1, {"a": 2} ]`), json.RawMessage(`null`))
	pick(members, "task_params", json.RawMessage(`{ "b": 1.0, "a": [ ] }`), json.RawMessage(`null`))
	pick(members, "enabled", true, false)
	pick(members, "tags", []string{"a", "b"}, []string{})
	raw, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestFaultsDoNotRepeatTheirInput gives every text member, and an unknown one, a quarter of a megabyte.
func TestFaultsDoNotRepeatTheirInput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200_000)
	members := []string{
		"name", "description", "category", "cron_expression", "run_at", "preset_name", "cron_dialect", "timezone", "dst_gap", "dst_overlap",
		"interval_anchor", "starts_at", "ends_at", "task_name", "queue", "exchange", "routing_key", "shadow", "stream",
		"execution_policy", "misfire_policy", long,
	}
	for _, member := range members {
		if found := faults(t, fmt.Sprintf(`{"task_name": "a", "interval_seconds": 60, %q: %q}`, member, long)); len(found) == 0 {
			t.Errorf("%.20s takes a text of any length", member)
		}
	}
}

// TestZoneLeftOutStays upserts from processes with other zones of their own: what was stored is not reinterpreted.
func TestZoneLeftOutStays(t *testing.T) {
	t.Parallel()
	stored := normalized(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo"}`)
	for text, want := range map[string]string{
		`{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *"}`:                              "Asia/Tokyo",
		`{"name": "n", "task_name": "a", "run_at": "2126-05-01T09:00"}`:                                "Asia/Tokyo",
		`{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "timezone": "Europe/Berlin"}`: "Europe/Berlin",
		`{"name": "n", "task_name": "a", "cron_expression": "TZ=Europe/Berlin 0 9 * * *"}`:             "Europe/Berlin",
	} {
		d, _, err := decode(t, text).Normalize(domain.Context{ID: scheduleID, Timezone: "America/New_York", Now: now, Previous: &stored})
		if err != nil || d.Timezone != want {
			t.Errorf("%s: %s, want %s, %v", text, d.Timezone, want, err)
		}
	}
}

// TestTimesStayAsWritten says a definition again that SQL has written, which spells times in UTC.
func TestTimesStayAsWritten(t *testing.T) {
	t.Parallel()
	before := domain.Definition{
		Name: "n", TaskName: "t", IntervalSeconds: 60, Timezone: "Asia/Tokyo", IntervalAnchor: "2026-01-01T00:00:00Z", StartsAt: "2026-01-01T09:00:00+09:00",
	}
	for _, anchor := range []string{"", "2026-01-01T00:00:00Z", "2026-01-01T09:00:00"} {
		again := before
		again.IntervalAnchor = anchor
		normal, _, err := again.Normalize(domain.Context{Timezone: "UTC", Now: time.Now(), Previous: &before})
		if err != nil || normal.IntervalAnchor != before.IntervalAnchor || normal.StartsAt != before.StartsAt {
			t.Errorf("%q: %q, %q, %v", anchor, normal.IntervalAnchor, normal.StartsAt, err)
		}
	}
}
