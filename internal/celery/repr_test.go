package celery_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/servers"
)

// TestReprIsCelerys compares argsrepr with the output of Celery's own saferepr for random arguments.
func TestReprIsCelerys(t *testing.T) {
	t.Parallel()
	python, err := servers.CeleryPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	cases := reprCases(3000)
	cmd := python.Command(t.Context(), "-c", `
import json, sys
from celery.utils.saferepr import saferepr
for line in sys.stdin:
    print(json.dumps(saferepr(json.loads(line), 1024)))
`)
	cmd.Stdin = strings.NewReader(strings.Join(cases, "\n"))
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, problems.String())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(cases) {
		t.Fatalf("got %d answers for %d cases", len(lines), len(cases))
	}
	for i, text := range cases {
		var want string
		if err := json.Unmarshal([]byte(lines[i]), &want); err != nil {
			t.Fatal(err)
		}
		if got := kwargsRepr(t, text); got != want {
			t.Fatalf("%s\nours     %q\nCelery's %q", text, got, want)
		}
	}
}

func kwargsRepr(t *testing.T, kwargs string) string {
	t.Helper()
	_, text, err := celery.Encode(domain.DueRun{Task: domain.Task{TaskName: "t", Kwargs: raw(kwargs)}}, "tag", celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Headers struct {
			KwargsRepr string `json:"kwargsrepr"`
		} `json:"headers"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m.Headers.KwargsRepr
}

// reprCases returns JSON objects, the same in each run: many small ones, and some beyond the bounds.
func reprCases(n int) (cases []string) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		g := reprGenerator{r, 1 + i%9, 1 + i%7*30}
		cases = append(cases, g.object(0))
	}
	return append(cases, `{}`, `{"a": "'\"\\\n\t"}`, `{"a": "`+strings.Repeat("x", 3000)+`"}`, `{"`+strings.Repeat("k ", 600)+`": [[[[1]]], {"a": {}}]}`)
}

type reprGenerator struct {
	*rand.Rand
	width, length int
}

func (g reprGenerator) value(depth int) string {
	kind := g.IntN(10)
	if depth > 5 {
		kind = max(kind, 2)
	}
	switch kind {
	case 0:
		return g.object(depth)
	case 1:
		items := make([]string, g.IntN(g.width))
		for i := range items {
			items[i] = g.value(depth + 1 + g.IntN(3))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case 2, 3:
		return g.text()
	case 4:
		return []string{"null", "true", "false", "-0", "0.0", "-0.0", "1e400", "-1e400", "1e16", "1e15", "0.0001", "0.00001", "12345678901234567890123"}[g.IntN(13)]
	case 5, 6:
		return strconv.Itoa(g.IntN(1e6) - 5e5)
	default:
		return strconv.FormatFloat(g.NormFloat64()*[]float64{1, 1e-6, 1e20, 1e300}[g.IntN(4)], 'g', -1, 64)
	}
}

func (g reprGenerator) object(depth int) string {
	members := make([]string, g.IntN(g.width))
	for i := range members {
		members[i] = fmt.Sprintf(`"k%d%s: %s`, i, g.text()[1:], g.value(depth+1))
	}
	return "{" + strings.Join(members, ", ") + "}"
}

func (g reprGenerator) text() string {
	letters := []string{"a", "b", " ", "é", "🍜", "'", `\"`, `\n`, `\\`, "値", `\u0007`}
	var b strings.Builder
	for range g.IntN(g.length) {
		b.WriteString(letters[g.IntN(len(letters))])
	}
	return `"` + b.String() + `"`
}
