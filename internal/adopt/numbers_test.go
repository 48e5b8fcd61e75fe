package adopt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/servers"
)

// sentByCelery is what a worker reads of documents that Celery's beat has read and sent, by Python's json.
const sentByCelery = `
import json, sys
json.dump([json.dumps(json.loads(json.dumps(json.loads(text))), sort_keys=True) for text in json.load(sys.stdin)], sys.stdout)
`

// TestNumbersArriveAsCelerySendsThem adopts rows with numbers that jsonb would change, in columns of each type, and
// compares what a worker reads with what it reads of Celery's own beat.
func TestNumbersArriveAsCelerySendsThem(t *testing.T) {
	t.Parallel()
	documents := map[string]string{ // and why it is refused
		`[1, 1.0, 10.50, -1.5]`: "", `[1e5, 1E+5, 1.5e1, 0.1e1, 1e-7, 0e0, 12e0]`: "", `[1e100, 1.7e308, 1e-400, 5e-324, 1e-16000, 1e22]`: "",
		`[12345678901234567890123, -0, 100]`: "", `{"1e5": 1e5, "a\"1e5": ["1e5 \\", 2e2], "-0": -1e3}`: "",
		`[" 1e400 ", "\\", 3e0]`: "", `[true, false, null, {"e": 1e0}, []]`: "", `["-0.0", 1e1]`: "",
		`[1e400]`: "", `[[-1e400]]`: "", `[1e200000]`: "", `{"a": {"b": [1e400, 1e5, -0.0]}}`: "",
		`[-0.0]`: "", `[-1e-400]`: "", `[2.0, -0e1]`: "", `[1` + strings.Repeat("0", 400) + `.0]`: "",
		`["\ud83d"]`: "", `["\u0000"]`: "", `["\\ud83d", "\ud83d\ude00"]`: "", ` { "\ud83d" : "\u0000 x", "b":[ "\\" ] } `: "",
		`[NaN]`: "value_unreadable at /args: NaN and Infinity are not JSON", `{"a": [-Infinity, Infinity]}`: "value_unreadable at /kwargs: NaN and Infinity",
		`["NaN", {"Infinity": "-Infinity \""}]`: "", `["NaN\u0000", NaN]`: "NaN and Infinity", `[-NaN]`: "want a JSON list", `[NaN`: "want a JSON list",
		`["\u0000"` + strings.Repeat(`,"x"`, 70_000) + `]`: "payload_too_large",
		`[1e5`: "want a JSON list", `["1e5]`: "want a JSON list", `[01e5]`: "want a JSON list", `[1.e5]`: "want a JSON list", `[1e]`: "want a JSON list",
		`"1e5"`: "want a JSON list", `5e1`: "want a JSON list",
		strings.Repeat("[", 1500) + strings.Repeat("]", 1500):     "nested deeper than 100",
		strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000): "nested too deeply",
		strings.Repeat("[", 150) + strings.Repeat("]", 150) + " ": "nested deeper than 100",
		strings.Repeat("[", 90) + strings.Repeat("]", 90):         "", `[1` + strings.Repeat("0", 5000) + `]`: "more than 4300 digits",
		`["\u0000", 1` + strings.Repeat("0", 5000) + `]`: "more than 4300 digits",
	}
	for _, column := range []string{"json", "text"} {
		u := newUpstream(t)
		u.seed("")
		u.exec(`alter table celery_beat_schedules alter column args drop default, alter column args type ` + column + ` using args::text::` + column)
		u.exec(`alter table celery_beat_schedules alter column kwargs drop default, alter column kwargs type ` + column + ` using kwargs::text::` + column)
		u.exec(`delete from celery_beat_schedules`)
		names := map[string]string{}
		for document := range documents {
			if !json.Valid([]byte(document)) && column == "json" {
				continue
			}
			names[document] = strings.TrimSpace(strings.ToValidUTF8(document[:min(40, len(document))], "")+fmt.Sprint(len(document))) + " as " + column
			args, kwargs := document, "{}"
			if strings.TrimSpace(document)[0] == '{' {
				args, kwargs = "[]", document
			}
			if _, err := u.pool.Exec(t.Context(), `insert into celery_beat_schedules (name, task_name, cron_expression, args, kwargs)
				values ($1, 'a', '* * * * *', $2, $3)`, names[document], args, kwargs); err != nil {
				t.Fatal(document, err)
			}
		}
		s := u.source("celery_beat_schedules", adopt.CeleryBeatSchedules)
		u.adopt(s)
		u.adopt(s) // which changes nothing
		var sent, ours []string
		for document, name := range names {
			got := u.named(name)
			if why := documents[document]; why != "" {
				if !strings.Contains(got.InvalidReason, why) {
					t.Errorf("%s: %q, want %s", name, got.InvalidReason, why)
				}
				continue
			}
			if got.InvalidReason != "" || got.Version != 1 {
				t.Errorf("%s: version %d, %s", name, got.Version, got.InvalidReason)
			}
			text := string(got.Task().Args)
			if strings.TrimSpace(document)[0] == '{' {
				text = string(got.Task().Kwargs)
			}
			sent, ours = append(sent, document), append(ours, text)
		}
		theirs, read := readByPython(t, sent), readByPython(t, ours)
		for i := range sent {
			if theirs[i] != read[i] {
				t.Errorf("%s in %s: a worker reads %s, want %s", sent[i], column, read[i], theirs[i])
			}
		}
		if _, _, err := s.Unadopt(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
}

func readByPython(t *testing.T, documents []string) (read []string) {
	t.Helper()
	python, err := servers.FindPython(t.Context(), servers.Config{}, []string{"json"}, "python3")
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(documents)
	if err != nil {
		t.Fatal(err)
	}
	cmd := python.Command(t.Context(), "-c", sentByCelery)
	cmd.Stdin = bytes.NewReader(in)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &read); err != nil || len(read) != len(documents) || len(read) == 0 {
		t.Fatalf("%d answers, %v", len(read), err)
	}
	return read
}
