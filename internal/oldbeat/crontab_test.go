package oldbeat_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/internal/servers"
)

const askCelery = `
import json, sys
from celery.schedules import crontab
answers = []
for expression in json.load(sys.stdin):
    try:
        minute, hour, day_of_month, month_of_year, day_of_week = expression.split()
        crontab(minute, hour, day_of_week, day_of_month, month_of_year)
        answers.append(True)
    except Exception:
        answers.append(False)
json.dump(answers, sys.stdout)
`

// TestAcceptsWhatCeleryAccepts asks Celery about expressions, chosen and drawn.
func TestAcceptsWhatCeleryAccepts(t *testing.T) {
	t.Parallel()
	expressions := []string{
		"* * * * *", "*/5 0-6 1,15 * mon-fri", "0 9 * * 7", "0 9 * * sunday", "0 9 * jan *", "5/10 * * * *",
		"0 0 L * *", "0 0 ? * *", "0 0 * * 5-1",
		"1-5-9 * * * *", "*/0 * * * *", "* * *", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *", "0 0 * 13 *",
		"0 0 * 0 *", "-1 * * * *",
		"0,,1 * * * *", "1-5/ * * * *", "*x * * * *", "0 0 * * xsun", "0 0 * * su", "0 0 mon * *", "@daily",
		"0 0 1W * *", "0 0 * * 1#2", "1- * * * *",
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var parts []string
		for range 5 {
			var part strings.Builder
			for range 1 + r.IntN(4) {
				part.WriteString([]string{
					"*", "/", "-", ",", "0", "1", "5", "7", "12", "31", "59", "mon", "sun",
					"jan",
				}[r.IntN(14)])
			}
			parts = append(parts, part.String())
		}
		if r.IntN(3) > 0 { // all but one field are sound
			keep := r.IntN(5)
			for i := range parts {
				if i != keep {
					parts[i] = "*"
				}
			}
		}
		expressions = append(expressions, strings.Join(parts, " "))
	}
	python, err := servers.CeleryPython(t.Context(), servers.Config{})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := json.Marshal(expressions)
	if err != nil {
		t.Fatal(err)
	}
	cmd := python.Command(t.Context(), "-c", askCelery)
	cmd.Stdin = bytes.NewReader(asked)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []bool
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(expressions) {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	accepted := 0
	for i, expression := range expressions {
		if err := oldbeat.Accepts(expression); (err == nil) != answers[i] {
			t.Errorf("%s: %v, but Celery takes it: %v", expression, err, answers[i])
		}
		if answers[i] {
			accepted++
		}
	}
	if accepted < 100 {
		t.Errorf("Celery takes only %d of %d: nothing was shown", accepted, len(expressions))
	}
}
