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

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/servers"
)

// parseRule reads one rule as RedBeat keeps it.
func parseRule(t *testing.T, rule string) importer.Entry {
	t.Helper()
	application, err := importer.ParseApplication(
		[]byte(`{"version": 4, "timezone": "UTC", "schedules": [{"name": "n", "task": "a", "schedule": {"__type__": "rrule", ` + rule + `}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	return application.Entries[0]
}

func TestRulesBecomeTriggers(t *testing.T) {
	t.Parallel()
	const start = `"dtstart": 1772412300, ` // 2026-03-02T00:45:00Z, a Monday
	for rule, want := range map[string]string{
		start + `"freq": 3`: "every 86400 from 2026-03-02T00:45:00Z",
		start + `"freq": 5, "interval": 10, "until": 1772415900`: "every 600 from " +
			"2026-03-02T00:45:00Z to 2026-03-02T01:45:00Z",
		start + `"freq": 4, "count": 3`: "every 3600 from " +
			"2026-03-02T00:45:00Z to 2026-03-02T02:45:00Z",
		start + `"freq": 2, "count": 1`:                                            "at 2026-03-02T00:45:00Z",
		start + `"freq": 3, "byhour": [9, 17], "byminute": 30`:                     "30 9,17 * * * UTC",
		start + `"freq": 3, "byhour": 9, "dtstart_tz": 540.0`:                      "45 9 * * * Etc/GMT-9",
		start + `"freq": 2, "byweekday": [{"__type__": "weekday", "wkday": 4}, 6]`: "45 0 * * 5,0 UTC",
		start + `"freq": 1`: "45 0 2 * * UTC",
		start + `"freq": 1, "bymonthday": -1, "bysecond": 7`: "7 45 0 L * * UTC",
		start + `"freq": 0`:              "45 0 2 3 * UTC",
		start + `"freq": 5, "byhour": 3`: "* 3 * * * UTC",
		`"freq": 3`:                      "refused: it has no dtstart",
		start + `"freq": 1, "interval": 2`: "refused: it leaves out some of " +
			"its periods",
		start + `"freq": 3, "byhour": 9, "count": 5`: "refused: it ends after a count",
		start + `"freq": 0, "byeaster": 0`: "refused: tactus has no triggers by " +
			"position",
		start + `"freq": 3, "byhour": 9, "dtstart_tz": 330`: "refused: its offset of 330 " +
			"minutes has no name",
		start + `"freq": "DAILY"`: "refused: its frequency cannot " +
			"be read",
		start + `"freq": 3, "byhour": "nine"`: "refused: a member of it cannot " +
			"be read",
		start + `"freq": 3, "byhour": 24`: "refused: no cron expression can say " +
			"what its 24 does",
	} {
		e := parseRule(t, rule)
		d := e.Definition
		var got string
		switch {
		case e.Refused != "":
			_, why, _ := strings.Cut(e.Refused, "because ")
			got = "refused: " + why[:min(len(why), len(strings.TrimPrefix(want, "refused: ")))]
		case d.RunAt != "":
			got = "at " + d.RunAt
		case d.IntervalSeconds != 0:
			got = fmt.Sprintf("every %g from %s", d.IntervalSeconds, d.StartsAt)
			if d.EndsAt != "" {
				got += " to " + d.EndsAt
			}
		default:
			got = d.CronExpression + " " + d.Timezone
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
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var want []int64
		if err := json.Unmarshal([]byte(line), &want); err != nil {
			t.Fatal(err)
		}
		d, _, err := entries[i].Definition.Normalize(domain.Context{Now: time.Unix(after, 0)})
		if err != nil {
			if len(want) > 0 {
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
			t.Errorf("%v: %s %s\nis due %v\nwant   %v", rules[i], trigger, d.StartsAt, got, want)
		}
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
	} else if random.IntN(3) == 0 {
		rule["count"] = 1 + random.IntN(50)
	}
	return rule
}
