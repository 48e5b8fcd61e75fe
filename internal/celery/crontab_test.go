package celery_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/internal/servers"
)

// crontabCase is a crontab and the instant after which its next due time is asked for. All is in UTC: in a zone that
// changes its clocks, the two implementations differ on purpose.
type crontabCase struct {
	Fields [5]string `json:"fields"` // in the order of cron
	After  int64     `json:"after"`
}

const crontabProgram = `
import json, sys
from datetime import datetime, timezone
from celery import Celery
from celery.schedules import crontab
app = Celery()
app.conf.timezone = 'UTC'
for line in sys.stdin:
    case = json.loads(line)
    minute, hour, day_of_month, month_of_year, day_of_week = case['fields']
    after = datetime.fromtimestamp(case['after'], timezone.utc)
    try:
        start, delta, _ = crontab(minute, hour, day_of_week, day_of_month, month_of_year, app=app, nowfun=lambda: after).remaining_delta(after)
        print(int((start + delta).timestamp()))
    except RuntimeError:
        print('never')
`

// TestCrontabIsCelerys compares our cron engine with Celery's crontab, for random expressions that both understand.
func TestCrontabIsCelerys(t *testing.T) {
	t.Parallel()
	cases := crontabCases(2000)
	answers := askCelery(t, cases)
	var never int
	for i, c := range cases {
		expression, after := strings.Join(c.Fields[:], " "), time.Unix(c.After, 0).UTC()
		ours := "never"
		if spec, err := cron.Parse(expression, cron.Options{Dialect: cron.Celery}); err == nil {
			due, _ := spec.In(time.UTC, "", "").Next(after)
			ours = fmt.Sprint(due.Unix())
		} else {
			never++
		}
		if ours != answers[i] {
			t.Errorf("%s after %s: got %s, Celery's is %s", expression, after.Format(time.RFC3339), ours, answers[i])
		}
	}
	if never > len(cases)/10 {
		t.Errorf("%d of %d cases never fire, so the test shows too little", never, len(cases))
	}
}

func askCelery(t *testing.T, cases []crontabCase) []string {
	t.Helper()
	python, err := servers.CeleryPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	var in, problems bytes.Buffer
	for _, c := range cases {
		if err := json.NewEncoder(&in).Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	cmd := python.Command(t.Context(), "-c", crontabProgram)
	cmd.Stdin, cmd.Stderr = &in, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, problems.String())
	}
	answers := strings.Fields(string(out))
	if len(answers) != len(cases) {
		t.Fatalf("got %d answers for %d cases", len(answers), len(cases))
	}
	return answers
}

// crontabCases returns the same cases in each run.
func crontabCases(n int) (cases []crontabCase) {
	r := rand.New(rand.NewPCG(20261124, 1))
	for range n {
		cases = append(cases, crontabCase{
			[5]string{crontabField(r, 0, 59), crontabField(r, 0, 23), crontabDays(r, 1, 31), crontabDays(r, 1, 12), crontabDays(r, 0, 6)},
			1_700_000_000 + r.Int64N(10*366*86400),
		})
	}
	return cases
}

// crontabDays returns * more often than not, so that most cases have due times.
func crontabDays(r *rand.Rand, low, high int) string {
	if r.IntN(3) > 0 {
		return "*"
	}
	return crontabField(r, low, high)
}

func crontabField(r *rand.Rand, low, high int) string {
	a, b, step := low+r.IntN(high-low+1), low+r.IntN(high-low+1), 1+r.IntN(9)
	switch r.IntN(7) {
	case 0:
		return "*"
	case 1:
		return fmt.Sprintf("*/%d", step)
	case 2:
		return fmt.Sprintf("%d-%d", a, b) // may wrap around
	case 3:
		return fmt.Sprintf("%d-%d/%d", a, b, step)
	case 4:
		return fmt.Sprintf("%d,%d", a, b)
	case 5:
		return crontabField(r, low, high) + "," + crontabField(r, low, high)
	default:
		return fmt.Sprint(a)
	}
}
