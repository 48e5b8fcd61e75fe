package domain_test

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
)

// edits has a patch for each member of a definition, by what it may move: nothing, or where due times count from.
var edits = map[bool]map[string]string{
	false: {
		"name": `"other"`, "description": `"d"`, "category": `"c"`, "tags": `["t"]`, "task_name": `"app.b"`, "args": `[1]`,
		"kwargs": `{"a":1}`, "task_params": `{"a":1}`, "queue": `"q"`, "priority": `3`, "exchange": `"e"`, "routing_key": `"r"`,
		"headers": `{"x":1}`, "expires_seconds": `60`, "time_limit_seconds": `60`, "soft_time_limit_seconds": `50`,
		"ignore_result": `true`, "ignore_routes": `true`, "shadow": `"s"`, "stream": `"s"`, "misfire_policy": `"all"`, "misfire_window_seconds": `7`,
		"misfire_grace_seconds": `7`, "max_runs": `9`, "auto_generated_name": `true`, "execution_policy": `"allow"`, "enabled": `false`,
		"jitter_seconds": `9`, "spread_seconds": `9`, "on_completed": `"delete"`,
	},
	true: {
		"cron_expression": `"0 10 * * *"`, "interval_seconds": `90`, "run_at": `"2026-05-01T00:00:00Z"`, "preset_name": `"daily_noon"`,
		"rrule": `"FREQ=WEEKLY;INTERVAL=2"`, "cron_dialect": `"vixie"`, "timezone": `"Europe/Berlin"`, "dst_gap": `"skip"`, "dst_overlap": `"both"`,
		"starts_at": `"2026-05-01T00:00:00Z"`, "ends_at": `"2028-05-01T00:00:00Z"`, "exclude_calendars": `["closed"]`, "only_calendars": `["open"]`,
	},
}

// TestEveryMemberHasAnEdit makes whoever adds a member decide whether it moves due times.
func TestEveryMemberHasAnEdit(t *testing.T) {
	t.Parallel()
	elsewhere := []string{"cron_seconds", "interval_anchor", "on_excluded"} // TestTriggerEditOfTwo, TestCalendarEdits
	known := map[string]bool{elsewhere[0]: true, elsewhere[1]: true, elsewhere[2]: true}
	for _, members := range edits {
		for name := range members {
			known[name] = true
		}
	}
	for field := range reflect.TypeFor[domain.Definition]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !known[name] {
			t.Errorf("%s is in neither list: does an edit of it move due times?", name)
		}
	}
}

func TestOnlyTriggerEditsMoveDueTimes(t *testing.T) {
	t.Parallel()
	base := create(t, `{"name": "n", "task_name": "app.a", "cron_expression": "0 9 * * *", "timezone": "Asia/Tokyo", "max_runs": 8}`)
	later := now.Add(time.Hour)
	for moves, members := range edits {
		for name, value := range members {
			after := redefined(t, base, `{"`+name+`":`+value+`}`, later)
			moved := !after.EffectiveFrom.Equal(base.EffectiveFrom)
			counted := !after.TriggerSetAt.Equal(base.TriggerSetAt)
			if moved != moves || counted != moves {
				t.Errorf("an edit of %s moves EffectiveFrom: %v, TriggerSetAt: %v; want %v", name, moved, counted, moves)
			}
		}
	}
}

// TestEditsKeepTheNextDueTime draws a schedule, edits of anything but its trigger one after the other, and an instant:
// what is due next stays what it was.
func TestEditsKeepTheNextDueTime(t *testing.T) {
	t.Parallel()
	members := slices.Sorted(maps.Keys(edits[false]))
	members = slices.DeleteFunc(members, func(name string) bool { return name == "enabled" }) // a disabled one is not due
	rapid.Check(t, func(rt *rapid.T) {
		d, err := domain.Decode(drawDefinition(rt))
		if err != nil {
			rt.Fatal(err)
		}
		d, _, err = d.Normalize(domain.Context{ID: scheduleID, Now: now, Timezone: "Europe/Berlin"})
		if err != nil || !d.IsEnabled() {
			return
		}
		base := applied(t, domain.Schedule{}, domain.Create(scheduleID, d), now)
		asked := now.Add(time.Duration(rapid.Int64Range(0, 400*86_400).Draw(rt, "asked")) * time.Second)
		want, wantOK := base.Next(asked)
		edited, when := base, now
		for _, name := range rapid.SliceOfN(rapid.SampledFrom(members), 1, 4).Draw(rt, "edited") {
			when = when.Add(time.Duration(rapid.Int64Range(1, 100*86_400).Draw(rt, "later")) * time.Second)
			edited = patched(t, edited, `{"`+name+`":`+edits[false][name]+`}`, when)
		}
		if due, ok := edited.Next(asked); !due.Equal(want) || ok != wantOK || !edited.TriggerSetAt.Equal(base.TriggerSetAt) {
			rt.Fatalf("due at %s, %v; before the edits %s, %v", due, ok, want, wantOK)
		}
	})
}

// patched is redefined, but for an edit that is refused: it changes nothing.
func patched(t testing.TB, s domain.Schedule, patch string, when time.Time) domain.Schedule {
	t.Helper()
	merged, err := s.Merge([]byte(patch))
	if err != nil {
		return s
	}
	if _, _, err := merged.Normalize(domain.Context{ID: s.ID, Now: when, Previous: &s.Definition}); err != nil {
		return s
	}
	return redefined(t, s, patch, when)
}

// TestDelayEditIsChecked holds that an edit of jitter or spread alone, which are none of the trigger, is held against
// it all the same.
func TestDelayEditIsChecked(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "*/5 * * * *", "jitter_seconds": 10}`)
	for patch, code := range map[string]string{
		`{"jitter_seconds": 300}`: "jitter_too_large", `{"spread_seconds": 290}`: "spread_too_large",
	} {
		merged, err := s.Merge([]byte(patch))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = merged.Normalize(domain.Context{ID: s.ID, Now: now, Previous: &s.Definition})
		if !errors.Is(err, &domain.Error{Code: code}) {
			t.Errorf("%s: %v", patch, err)
		}
	}
}

func TestTriggerEditOfTwo(t *testing.T) {
	t.Parallel()
	later := now.Add(time.Hour)
	base := create(t, `{"name": "n", "task_name": "a", "interval_seconds": 60}`)
	for patch, moves := range map[string]bool{
		`{"interval_anchor": "2026-01-01T00:00:30Z"}`:              true,
		`{"cron_expression": "0 0 9 * * *", "cron_seconds": true}`: true,
		`{"interval_seconds": 60}`:                                 false,
		`{"description": "d", "interval_seconds": 60}`:             false,
	} {
		if moved := !redefined(t, base, patch, later).EffectiveFrom.Equal(base.EffectiveFrom); moved != moves {
			t.Errorf("%s moves EffectiveFrom: %v, want %v", patch, moved, moves)
		}
	}
}

// TestSayingTheSameMovesNothing redefines a schedule in other words.
func TestSayingTheSameMovesNothing(t *testing.T) {
	t.Parallel()
	interval := create(t, `{"name": "n", "task_name": "a", "interval_seconds": 60}`)
	d, _, err := decode(t, `{"name": "n", "task_name": "a", "interval_seconds": 60}`).Normalize(domain.Context{ID: scheduleID, Now: now.Add(time.Hour), Previous: &interval.Definition})
	if err != nil {
		t.Fatal(err)
	}
	if c, changed := interval.Redefine(d); changed {
		t.Errorf("an interval said again: %+v", c)
	}
	typed := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * 1-5"}`)
	typed.CronExpression = "00 9 * * MON-FRI" // as SQL has written it
	if after := redefined(t, typed, `{"description": "d"}`, now.Add(time.Hour)); !after.EffectiveFrom.Equal(typed.EffectiveFrom) || after.CronExpression != "0 9 * * 1-5" {
		t.Errorf("its canonical form moves it: %+v", after)
	}
}

func create(t testing.TB, definition string) domain.Schedule {
	t.Helper()
	return applied(t, domain.Schedule{}, domain.Create(scheduleID, normalized(t, definition)), now)
}

// redefined patches a schedule as the API does.
func redefined(t testing.TB, s domain.Schedule, patch string, when time.Time) domain.Schedule {
	t.Helper()
	merged, err := s.Merge([]byte(patch))
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	d, _, err := merged.Normalize(domain.Context{ID: s.ID, Now: when, Previous: &s.Definition})
	if err != nil {
		t.Fatalf("%s: %v", patch, err)
	}
	change, changed := s.Redefine(d)
	if !changed {
		return s
	}
	return applied(t, s, change, when)
}

func TestEnableDoesNotCatchUp(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *"}`)
	if due, ok := s.Next(now); !ok || !due.Equal(at(t, "2026-03-02T09:00:00Z")) {
		t.Errorf("%s, %v", due, ok)
	}
	off, _ := s.SetEnabled(false)
	disabled := applied(t, s, off, now.AddDate(0, 0, 1))
	if due, ok := disabled.Next(now); ok {
		t.Errorf("a disabled schedule is due at %s", due)
	}
	if !disabled.EffectiveFrom.Equal(s.EffectiveFrom) {
		t.Error("disabling moved EffectiveFrom")
	}
	if _, changed := disabled.SetEnabled(false); changed {
		t.Error("disabled twice")
	}
	on, _ := disabled.SetEnabled(true)
	enabled := applied(t, disabled, on, now.AddDate(0, 0, 10))
	if due, ok := enabled.Next(now); !ok || !due.Equal(at(t, "2026-03-12T09:00:00Z")) {
		t.Errorf("after ten days off: %s, %v", due, ok)
	}
	if !enabled.TriggerSetAt.Equal(s.TriggerSetAt) {
		t.Error("enabling moved TriggerSetAt: max_runs would count anew")
	}
	again := redefined(t, disabled, `{"enabled": true}`, now.AddDate(0, 0, 10))
	if !again.EffectiveFrom.Equal(enabled.EffectiveFrom) {
		t.Errorf("enabled by an edit, it counts from %s", again.EffectiveFrom)
	}
}

// TestRunAtCompletes follows a schedule that is due once.
func TestRunAtCompletes(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "run_at": "2026-03-08T02:30:00", "timezone": "America/New_York"}`)
	want := at(t, "2026-03-08T03:00:00-04:00") // 02:30 is in a gap
	if due, ok := s.Next(now); !ok || !due.Equal(want) {
		t.Errorf("%s, %v", due, ok)
	}
	if due, ok := s.Next(want); ok {
		t.Errorf("due again at %s", due)
	}
	if s.RunAt != "2026-03-08T03:00:00-04:00" {
		t.Errorf("stored as %s", s.RunAt)
	}
	// Its time has passed: what is not the trigger may still be edited.
	edited := redefined(t, s, `{"description": "done"}`, want.AddDate(0, 1, 0))
	if edited.Description != "done" || edited.RunAt != s.RunAt {
		t.Errorf("%+v", edited.Definition)
	}
}

// TestMaxRunsCountsFromTheTrigger holds the two fields that max_runs needs.
func TestMaxRunsCountsFromTheTrigger(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "max_runs": 3}`)
	if s.Policy().MaxRuns != 3 || !s.TriggerSetAt.Equal(now) {
		t.Errorf("%d runs from %s", s.Policy().MaxRuns, s.TriggerSetAt)
	}
	s = redefined(t, s, `{"max_runs": 5}`, now.Add(time.Hour))
	if s.Policy().MaxRuns != 5 || !s.TriggerSetAt.Equal(now) {
		t.Errorf("%d runs from %s", s.Policy().MaxRuns, s.TriggerSetAt)
	}
	s = redefined(t, s, `{"cron_expression": "0 10 * * *"}`, now.Add(2*time.Hour))
	if !s.TriggerSetAt.Equal(now.Add(2 * time.Hour)) {
		t.Errorf("counts from %s", s.TriggerSetAt)
	}
}

func TestRedefineToTheSameIsNoChange(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", "kwargs": {"a": 1}}`)
	for _, patch := range []string{`{}`, `{"name": "n"}`, `{"enabled": true}`, `{"cron_expression": " 0  9 * * ? "}`, `{"kwargs": {"a":   1}}`} {
		if after := redefined(t, s, patch, now.Add(time.Hour)); after.Version != s.Version {
			t.Errorf("%s changes something:\n%s", patch, cmp.Diff(s, after))
		}
	}
}

func TestDeletedIsNeverDue(t *testing.T) {
	t.Parallel()
	s := create(t, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *"}`)
	deleted := applied(t, s, s.Delete(), now.Add(time.Hour))
	if due, ok := deleted.Next(now); ok || !deleted.DeletedAt.Equal(now.Add(time.Hour)) {
		t.Errorf("due at %s, deleted at %s", due, deleted.DeletedAt)
	}
}

// TestYearsEnd holds that a schedule whose expression names years has a last due time, and says so when it is past.
func TestYearsEnd(t *testing.T) {
	t.Parallel()
	s := create(t, `{"task_name": "a", "cron_expression": "0 0 12 ? * 6L 2026-2027", "cron_dialect": "quartz", "timezone": "Asia/Tokyo"}`)
	if last, ok := s.Last(); !ok || !last.Equal(at(t, "2027-12-31T12:00:00+09:00")) {
		t.Errorf("%s, %v", last, ok)
	}
	if past := s.Past(); past.Code != "cron_never_fires" || past.Field != "/cron_expression" {
		t.Error(past)
	}
	if last, ok := create(t, `{"task_name": "a", "cron_expression": "0 0 12 ? * 6L", "cron_dialect": "quartz"}`).Last(); ok {
		t.Errorf("without a year it ends at %s", last)
	}
}

// TestWarningOfADialectIsToldOnce holds that an expression that is brought back as it is stored warns of no dialect.
func TestWarningOfADialectIsToldOnce(t *testing.T) {
	t.Parallel()
	typed := decode(t, `{"task_name": "a", "cron_expression": "0 0 12 * * 2-6", "cron_seconds": true}`)
	stored, warnings, err := typed.Normalize(domain.Context{Now: now})
	if err != nil || len(warnings) != 1 || warnings[0].Code != "cron_dialect" {
		t.Errorf("%v, %v", warnings, err)
	}
	if _, warnings, err = stored.Normalize(domain.Context{Now: now, Previous: &stored}); err != nil || len(warnings) > 0 {
		t.Errorf("brought back: %v, %v", warnings, err)
	}
	if warnings := stored.Warnings(); len(warnings) > 0 {
		t.Errorf("as it is stored: %v", warnings)
	}
}
