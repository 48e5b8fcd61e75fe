package importer_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// parseRule reads one rule as RedBeat keeps it.
func parseRule(t *testing.T, rule string) importer.Entry {
	t.Helper()
	application, err := importer.ParseApplication(
		[]byte(`{"version": 6, "timezone": "UTC", "schedules": [{"name": "n", "task": "a", "schedule": {"__type__": "rrule", ` + rule + `}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return application.Entries[0]
}

func TestRulesBecomeTriggers(t *testing.T) {
	t.Parallel()
	const start = `"dtstart": 1772412300, ` // 2026-03-02T00:45:00Z, a Monday
	for rule, want := range map[string]string{
		start + `"freq": 3`: "UTC DTSTART:20260302T004500 RRULE:FREQ=DAILY",
		start + `"freq": 5, "interval": 10, "until": 1772415900`: "UTC DTSTART:20260302T004500 " +
			"RRULE:FREQ=MINUTELY;INTERVAL=10 to 2026-03-02T01:45:00Z",
		start + `"freq": 4, "count": 3`: "UTC DTSTART:20260302T004500 RRULE:FREQ=HOURLY;COUNT=3",
		start + `"freq": 3, "byhour": [9, 17], "byminute": 30, "count": 5`: "UTC DTSTART:20260302T004500 " +
			"RRULE:FREQ=DAILY;COUNT=5;BYHOUR=9,17;BYMINUTE=30",
		start + `"freq": 3, "byhour": 9, "dtstart_tz": 540.0`: "Etc/GMT-9 DTSTART:20260302T094500 " +
			"RRULE:FREQ=DAILY;BYHOUR=9",
		start + `"freq": 2, "interval": 2, "wkst": 6, "byweekday": [{"__type__": "weekday", "wkday": 4}, 6]`: "UTC " +
			"DTSTART:20260302T004500 RRULE:FREQ=WEEKLY;INTERVAL=2;WKST=SU;BYDAY=FR,SU",
		start + `"freq": 1, "bymonthday": -1, "bysecond": 7, "bysetpos": [1], "bymonth": []`: "UTC " +
			"DTSTART:20260302T004500 RRULE:FREQ=MONTHLY;BYMONTHDAY=-1;BYSECOND=7;BYSETPOS=1",
		start + `"freq": 0, "byyearday": 100`:               "UTC DTSTART:20260302T004500 RRULE:FREQ=YEARLY;BYYEARDAY=100",
		start + `"freq": 2, "dtstart_tz": 330`:              "UTC DTSTART:20260302T004500 RRULE:FREQ=WEEKLY",
		`"freq": 3`:                                         "refused: it has no dtstart",
		start + `"freq": 0, "byeaster": 0`:                  "refused: RFC 5545 has no days from Easter",
		start + `"freq": 3, "byhour": 9, "dtstart_tz": 330`: "refused: its offset of 330 minutes has no name",
		start + `"freq": 1, "dtstart_tz": 330`:              "refused: its offset of 330 minutes has no name",
		start + `"freq": 2, "byweekday": 1, "bysetpos": 1`:  "refused: its first week is not a whole one",
		start + `"freq": 0, "byweekno": 1, "wkst": 6`:       "refused: dateutil numbers the last week",
		start + `"freq": "DAILY"`:                           "refused: its frequency cannot be read",
		start + `"freq": 3, "byhour": "nine"`:               "refused: a member of it cannot be read",
		start + `"freq": 3, "byweekday": 7`:                 "refused: there is no weekday 7",
		start + `"freq": 2, "byweekday": []`:                "refused: its list of weekdays is empty",
	} {
		e := parseRule(t, rule)
		d := e.Definition
		var got string
		switch {
		case e.Refused != "":
			_, why, _ := strings.Cut(e.Refused, "because ")
			got = "refused: " + why[:min(len(why), len(strings.TrimPrefix(want, "refused: ")))]
		default:
			got = d.Timezone + " " + strings.ReplaceAll(d.RRule, "\n", " ")
			if d.EndsAt != "" {
				got += " to " + d.EndsAt
			}
		}
		if got != want {
			t.Errorf("%s: %s, want %s", rule, got, want)
		}
	}
}

// dateutil tells when rules are due, by the library that RedBeat uses: the first ten times of each after an instant.
const dateutil = `
import json, sys
from datetime import datetime, timedelta, timezone
from dateutil.rrule import rrule
for line in sys.stdin:
    rule = json.loads(line)
    for key, offset in (("dtstart", "dtstart_tz"), ("until", "until_tz")):
        minutes = rule.pop(offset, 0)
        if key in rule:
            rule[key] = datetime.fromtimestamp(rule[key], tz=timezone(timedelta(minutes=minutes)))
    after, due = rule.pop("after"), []
    for t in rrule(rule.pop("freq"), **rule).xafter(datetime.fromtimestamp(after, tz=timezone.utc), count=10):
        due.append(int(t.timestamp()))
    print(json.dumps(due))
`

// TestRulesAreDueAsByDateutil holds random rules that are taken against dateutil.
func TestRulesAreDueAsByDateutil(t *testing.T) {
	t.Parallel()
	python, err := servers.FindPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }},
		[]string{"dateutil"}, "python3-dateutil")
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	var in bytes.Buffer
	var rules []map[string]any
	var entries []importer.Entry
	for len(rules) < 150 {
		rule := randomRule(random)
		text, err := json.Marshal(rule)
		if err != nil {
			t.Fatal(err)
		}
		e := parseRule(t, strings.Trim(string(text), "{}"))
		if e.Refused != "" {
			continue
		}
		rules, entries = append(rules, rule), append(entries, e)
		in.Write(text)
		in.WriteByte('\n')
	}
	cmd := python.Command(t.Context(), "-c", dateutil)
	cmd.Stdin = &in
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var want []int64
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		d, _, err := entries[i].Definition.Normalize(domain.Context{Now: time.Unix(after, 0)})
		if err != nil {
			if faults := domain.FaultsOf(err); faults[0].Code == "rrule_syntax" {
				refused++ // what dateutil takes and RFC 5545 does not
			} else if len(want) > 0 {
				t.Errorf("%v: %v, but due at %v", rules[i], err, want)
			}
			continue
		}
		trigger, anchor := d.Trigger()
		recurrence, err := trigger.Recurrence(anchor)
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for at := time.Unix(after, 0); len(got) < 10; {
			due, ok := d.Policy().Next(recurrence, at)
			if !ok {
				break
			}
			got, at = append(got, due.Unix()), due
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %s %s\nis due %v\nwant   %v", rules[i], trigger, d.EndsAt, got, want)
		}
	}
	if refused > len(rules)/3 {
		t.Errorf("%d of %d rules are refused: little was shown", refused, len(rules))
	}
}

const after = 1780000000 // 2026-05-28T20:26:40Z

func randomRule(random *rand.Rand) map[string]any {
	rule := map[string]any{"freq": random.IntN(7), "dtstart": after - 40*86400 + random.IntN(80*86400), "after": after}
	some := func(name string, value func() int) {
		if random.IntN(3) == 0 {
			values := []int{value(), value()}
			rule[name] = values[:1+random.IntN(2)]
		}
	}
	if random.IntN(2) == 0 {
		rule["dtstart_tz"] = 60 * (random.IntN(24) - 11)
	}
	if random.IntN(4) == 0 {
		rule["until"] = after + random.IntN(60*86400)
	}
	if random.IntN(4) == 0 {
		rule["interval"] = 1 + random.IntN(5)
	}
	if rule["freq"].(int) > 4 { // dateutil counts every minute or second since the start
		rule["dtstart"] = after - random.IntN(3600)
	} else if random.IntN(2) == 0 {
		some("bymonth", func() int { return 1 + random.IntN(12) })
		some("bymonthday", func() int { return []int{1 + random.IntN(31), -1 - random.IntN(3)}[random.IntN(2)] })
		some("byweekday", func() int { return random.IntN(7) })
		some("byhour", func() int { return random.IntN(24) })
		some("byminute", func() int { return random.IntN(60) })
		some("bysecond", func() int { return random.IntN(60) })
		if rule["freq"] == 0 {
			some("byyearday", func() int { return []int{1 + random.IntN(366), -1 - random.IntN(20)}[random.IntN(2)] })
			some("byweekno", func() int { return 1 + random.IntN(53) })
		}
		if rule["freq"].(int) < 3 && rule["byweekday"] != nil && random.IntN(2) == 0 {
			some("bysetpos", func() int { return []int{1, 2, -1}[random.IntN(3)] })
		}
		if random.IntN(3) == 0 {
			rule["wkst"] = []int{0, 6}[random.IntN(2)]
		}
	}
	if random.IntN(4) == 0 && rule["until"] == nil {
		rule["count"] = 1 + random.IntN(50)
	}
	return rule
}

// TestRedBeatsRules has entries with rules of one offset: the application's zone does not concern them.
func TestRedBeatsRules(t *testing.T) {
	t.Parallel()
	client, pool := testenv.Redis(t), testenv.Database(t)
	const meta = `{"last_run_at": {"__type__": "datetime", "year": 2027, "month": %s, "day": %s, "hour": 0, "minute": 0,
		"second": 1, "microsecond": 0, "timezone": "UTC"}}`
	for name, e := range map[string][2]string{ // its rule, and when it last ran
		"fortnightly": {`"freq": 2, "interval": 2, "dtstart": 1772409600, "dtstart_tz": 540.0`, `"3" "1"`},
		"overdue":     {`"freq": 3, "dtstart": 1772409600`, `"2" "27"`},
		"unknown":     {`"freq": 3, "byyearday": 5, "dtstart": 1772409600`, `"3" "2"`},
	} {
		var month, day string
		if _, err := fmt.Sscanf(e[1], "%q %q", &month, &day); err != nil {
			t.Fatal(err)
		}
		client.HSet(t.Context(), "redbeat:"+name, "definition", `{"name": "`+name+`", "task": "app.a", "args": [], "kwargs": {},
			"options": {"queue": "q"}, "schedule": {"__type__": "rrule", `+e[0]+`}, "enabled": true}`,
			"meta", fmt.Sprintf(meta, month, day))
		client.ZAdd(t.Context(), "redbeat::schedule", redis.Z{Member: "redbeat:" + name})
	}
	for range 2 {
		entries, err := importer.ReadRedBeat(t.Context(), client,
			importer.RedBeatOptions{Prefix: importer.DefaultRedBeatPrefix, Timezone: "America/New_York"})
		if err != nil {
			t.Fatal(err)
		}
		change := "new"
		if _, err := outbox.GetByName(t.Context(), pool, "fortnightly"); err == nil {
			change = "same"
		}
		equal(t, bring(t, pool, importer.RedBeat, entries, "America/New_York"),
			"fortnightly | "+change+" | DTSTART:20260302T090000 RRULE:FREQ=WEEKLY;INTERVAL=2 Etc/GMT-9 | "+
				"RedBeat keeps its offset of 540 minutes for ever: set timezone where the clocks change",
			"overdue | refused | DTSTART:20260302T000000 RRULE:FREQ=DAILY UTC | it would not run as it did | overdue",
			"unknown | refused | DTSTART:20260302T000000 RRULE:FREQ=DAILY;BYYEARDAY=5 UTC | rrule_syntax at /rrule")
	}
	s := named(t, pool, "fortnightly")
	if due, ok := s.Next(now); !ok || due.UTC().Format(time.RFC3339) != "2027-03-15T00:00:00Z" {
		t.Errorf("%+v is due at %s", s.Definition, due)
	}
}
