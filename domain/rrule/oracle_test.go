package rrule_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/rrule"
	"github.com/tactus-dev/tactus/internal/servers"
)

// question is a random recurrence. Until bounds what is compared, and how long dateutil searches.
type question struct {
	Text  string `json:"text"`  // without an end
	Until string `json:"until"` // on the wall
	Count int    `json:"count"` // 0 is none
}

// dateutil answers with the first due times of each recurrence, or with null when it searches for too long: it looks at
// UNTIL only when it has found something, and goes on to the year 9999 otherwise.
const dateutil = `
import json, signal, sys
from itertools import islice
from dateutil.rrule import rrulestr
class TooLong(Exception): pass
def stop(*_): raise TooLong()
signal.signal(signal.SIGVTALRM, stop)
for line in sys.stdin:
    q = json.loads(line)
    try:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.01)
        rule = rrulestr(q["text"].replace("%END%", ";UNTIL=" + q["until"]), forceset=True)
        due = [t.strftime("%Y%m%dT%H%M%S") for t in islice(rule, min(q["count"] or 12, 12))]
    except (TooLong, IndexError): # it fails on a 53rd Monday of a year that has 52
        due = None
    except ValueError as e:
        if "empty" not in str(e):
            raise
        due = None if "DATE:" in q["text"] else []
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    print(json.dumps(due))
`

// oracleCases is how many random rules are compared with dateutil.
const oracleCases = 4_000

// TestOracle compares random rules with dateutil, forwards by Next and backwards by Prev. The seed is fixed;
// TACTUS_FUZZ_CASES asks for another number of rules, from a seed of the time.
func TestOracle(t *testing.T) {
	t.Parallel()
	python, err := servers.FindPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }}, []string{"dateutil"}, "python3-dateutil")
	if err != nil {
		t.Fatal(err)
	}
	cases, seed := oracleCases, uint64(20261129)
	if text := os.Getenv("TACTUS_FUZZ_CASES"); text != "" {
		if cases, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
		seed = uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
	}
	r := rand.New(rand.NewPCG(seed, 1))
	questions := make([]question, cases)
	var in bytes.Buffer
	encoder := json.NewEncoder(&in)
	for i := range questions {
		questions[i] = randomQuestion(r)
		if err := encoder.Encode(questions[i]); err != nil {
			t.Fatal(err)
		}
	}
	cmd := python.Command(t.Context(), "-c", dateutil)
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = &in, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, problems.String())
	}
	answers := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(answers) != len(questions) {
		t.Fatalf("%d answers", len(answers))
	}
	wrong, empty, slow := 0, 0, 0
	for i, answer := range answers {
		var want []string
		if err := json.Unmarshal([]byte(answer), &want); err != nil {
			t.Fatal(err)
		}
		if want == nil {
			slow++
			continue
		}
		if len(want) == 0 {
			empty++
		}
		if got := questions[i].dues(t); !slices.Equal(got, want) {
			if wrong++; wrong <= 10 {
				t.Errorf("%s until %s, count %d:\ngot  %v\nwant %v", questions[i].Text, questions[i].Until, questions[i].Count, got, want)
			}
		}
	}
	compared := len(questions) - slow
	t.Logf("%d rules compared, %d of them never due, %d wrong", compared, empty, wrong)
	if compared < cases*2/3 || empty > compared/2 {
		t.Errorf("want two thirds of %d rules compared, and most of them due", cases)
	}
}

// dues are the due times up to the end, at most 12. What Prev finds from the last of them back must be the same.
func (q question) dues(t *testing.T) []string {
	t.Helper()
	end := ";UNTIL=" + q.Until
	if q.Count > 0 {
		end = fmt.Sprintf(";COUNT=%d", q.Count)
	}
	text := strings.Replace(q.Text, "%END%", end, 1)
	rule, err := rrule.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	due, err := rule.In(time.UTC, time.Time{}, "", "")
	if err != nil {
		return []string{}
	}
	const layout = "20060102T150405"
	limit, _ := time.Parse(layout, q.Until)
	dues := []string{}
	last := time.Time{}
	for len(dues) < 12 {
		at, ok := due.Next(last)
		if !ok || q.Count > 0 && at.After(limit) {
			break
		}
		dues, last = append(dues, at.Format(layout)), at
	}
	back := []string{}
	for before := last.Add(1); len(back) <= len(dues); {
		at, ok := due.Prev(before)
		if !ok {
			break
		}
		back, before = append(back, at.Format(layout)), at
	}
	slices.Reverse(back)
	if !slices.Equal(back, dues) && len(dues) > 0 {
		t.Errorf("%s: forward %v\nbackward %v", text, dues, back)
	}
	return dues
}

var spans = []int{30 * 366, 10 * 366, 4 * 366, 3 * 366, 366, 60, 5} // days, by frequency

func randomQuestion(r *rand.Rand) question {
	freq := rrule.Freq(r.IntN(7))
	start := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(3*366*24*60)) * time.Minute)
	if r.IntN(3) == 0 {
		start = start.Add(time.Duration(r.IntN(60)) * time.Second)
	}
	const layout = "20060102T150405"
	parts := []string{"FREQ=" + []string{"YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"}[freq]}
	add := func(one int, format string, args ...any) {
		if r.IntN(one) == 0 {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	list := func(value func() int) string {
		var items []string
		for range 1 + r.IntN(3) {
			items = append(items, fmt.Sprint(value()))
		}
		return strings.Join(items, ",")
	}
	either := func(most int) func() int {
		return func() int { return (1 + r.IntN(most)) * (1 - 2*r.IntN(2)) }
	}
	between := func(low, high int) func() int { return func() int { return low + r.IntN(high-low+1) } }
	days := []string{"SU", "MO", "TU", "WE", "TH", "FR", "SA"}
	add(2, "INTERVAL=%d", 1+r.IntN([]int{4, 14, 5, 20, 30, 100, 5000}[freq]))
	add(4, "BYMONTH=%s", list(between(1, 12)))
	weekNo := freq == rrule.Yearly && r.IntN(5) == 0
	if weekNo {
		parts = append(parts, "BYWEEKNO="+list(either(51))) // dateutil miscounts the weeks of the year before
	}
	if freq == rrule.Yearly || freq >= rrule.Hourly {
		add(7, "BYYEARDAY=%s", list(either(366)))
	}
	if freq != rrule.Weekly {
		add(4, "BYMONTHDAY=%s", list(either(31)))
	}
	if r.IntN(3) == 0 {
		prefix := func() string { return "" }
		if freq <= rrule.Monthly && !weekNo && r.IntN(2) == 0 {
			most := []int{53, 5}[freq]
			prefix = func() string { return fmt.Sprint(either(most)()) }
		}
		var items []string
		for range 1 + r.IntN(3) {
			items = append(items, prefix()+days[r.IntN(7)])
		}
		parts = append(parts, "BYDAY="+strings.Join(items, ","))
	}
	add(4, "BYHOUR=%s", list(between(0, 23)))
	add(4, "BYMINUTE=%s", list(between(0, 59)))
	add(5, "BYSECOND=%s", list(between(0, 59)))
	weekStart := r.IntN(7)
	if len(parts) > 2 && strings.Contains(strings.Join(parts, ";"), "BY") && r.IntN(4) == 0 {
		parts = append(parts, "BYSETPOS="+list(either(4)))
		weekStart = int(start.Weekday()) // to dateutil the first week begins with the start
		parts = append(parts, "WKST="+days[weekStart])
	} else {
		add(3, "WKST=%s", days[weekStart])
	}
	q := question{Until: start.AddDate(0, 0, spans[freq]).Format(layout)}
	q.Text = "DTSTART:" + start.Format(layout) + "\nRRULE:" + strings.Join(parts, ";") + "%END%"
	if r.IntN(4) == 0 {
		q.Count = 1 + r.IntN(15)
		return q
	}
	near := func() string { return start.AddDate(0, 0, r.IntN(20)).Format(layout) }
	if r.IntN(4) == 0 {
		q.Text += "\nEXDATE:" + near() + "," + near()
	}
	if r.IntN(6) == 0 {
		q.Text += "\nRDATE:" + near() + "\nRDATE:" + start.Add(time.Duration(r.IntN(5_000_000))*time.Second).Format(layout)
	}
	return q
}
