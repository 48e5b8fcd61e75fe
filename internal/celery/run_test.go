package celery_test

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// sameAsJSON fails unless ReadRun decodes data as package json does. It may leave a fault within args or kwargs to who
// reads these.
func sameAsJSON(t *testing.T, data string) {
	t.Helper()
	var want domain.DueRun
	wantErr := json.Unmarshal([]byte(data), &want)
	got, err := celery.ReadRun([]byte(data))
	if wantErr != nil && err == nil && (!json.Valid(got.Args) || !json.Valid(got.Kwargs)) {
		return
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%q: %v, package json: %v", data, err, wantErr)
	}
	if diff := cmp.Diff(want, got); err == nil && diff != "" {
		t.Fatalf("%q: %s", data, diff)
	}
}

// runTexts are data of events, and texts that are nearly such.
var runTexts = []string{
	`{"schedule_id":"00000000-0000-0000-0000-000000000001","run_id":"00000000-0000-0000-0000-00000000000A","due_at":"2026-11-29T15:25:31.757170Z",` +
		`"kind":"manual","schedule_name":"a \"b\" \u00e9 é","task_name":"t","args":[1,"]",{"a":[]}],"kwargs":{"a":"}\\"},"queue":"q","priority":3,` +
		`"exchange":"x","routing_key":"r","headers":{"a":1,"b":"c"},"expires_seconds":60,"time_limit_seconds":-1,"soft_time_limit_seconds":0,` +
		`"ignore_result":true,"ignore_routes":false,"shadow":"s","stream":"jobs"}`,
	"{ \"args\" : [ 1 ] ,\n\t\"kwargs\" : { } } ", `{}`, ``, `{`, `[]`, `null`, `{"args":[1]`, `{"args":[1],}`, `{"args":[1]}x`, `{,"args":[1]}`, `{"args":}`,
	`{"args":null,"queue":null,"priority":null}`, `{"ARGS":[1]}`, `{"args":[1],"args":[2]}`, `{"headers":{"a":1},"headers":{"b":2}}`, `{"headers":{"a":1},"priority":1e1}`,
	`{"unknown":{"a":"}"},"queue":"q"}`, `{"q\u0075eue":"q"}`, `{"queue":"\ud800"}`, "{\"queue\":\"\xff\"}", "{\"queue\":\"a\nb\"}", `{"queue":"a\qb"}`, `{"queue":1}`,
	`{"expires_seconds":1.5}`, `{"expires_seconds":-0}`, `{"expires_seconds":007}`, `{"expires_seconds":9223372036854775808}`, `{"ignore_result":1}`, `{"ignore_result":truefalse}`,
	`{"schedule_id":"x"}`, `{"due_at":"2026-11-29"}`, `{"due_at":"2026-11-29T15:25:31+02:00"}`, `{"queue":"\`, `{"args":["\`, `{"args":[1 2]}`, "{\"a\x00\":1}", "{}\x00", `{"args":"text"}`,
}

// TestReadRunIsAsPackageJSON decodes events, and what comes of them when bytes are changed, with package json beside
// it.
func TestReadRunIsAsPackageJSON(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	const replacements = `{}[]":,\0-1etn x` + "\n\x00"
	for _, text := range runTexts {
		sameAsJSON(t, text)
		for range 300 {
			changed := []byte(text)
			for range 1 + r.IntN(2) {
				if len(changed) > 0 {
					changed[r.IntN(len(changed))] = replacements[r.IntN(len(replacements))]
				}
			}
			sameAsJSON(t, string(changed))
		}
	}
}

func FuzzReadRun(f *testing.F) {
	for _, text := range runTexts {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, data string) { sameAsJSON(t, data) })
}

// TestMessagesAreWrittenAsPackageJSONWrites writes texts of all kinds of characters, which must stand in the message as
// package json writes them.
func TestMessagesAreWrittenAsPackageJSONWrites(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"plain", `"`, `\`, "tab\t", "\x00", "\x1f", "\x7f", "é", "\u2028", "\xff", "<&>", "😀", strings.Repeat("x", 300)} {
		run := domain.DueRun{ScheduleName: name, DueAt: time.Unix(0, 0), Task: domain.Task{TaskName: "t" + name, Shadow: name}}
		_, text, err := celery.Encode(run, "tag", celery.Config{Origin: name})
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		if err := e.Encode(name); err != nil {
			t.Fatal(err)
		}
		quoted := strings.TrimSpace(b.String())
		for _, member := range []string{`"shadow":` + quoted, `"origin":` + quoted, `"periodic_task_name":` + quoted} {
			if !strings.Contains(string(text), member) {
				t.Errorf("%s: no %s in %s", name, member, text)
			}
		}
		if !json.Valid(text) {
			t.Errorf("%q: not JSON: %s", name, text)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	const data = `{"schedule_id":"01a227e9-133b-7c03-b843-9d6cd3d6bd1f","run_id":"01a227e9-133b-7c03-b843-9d6cd3d6bd20","due_at":"2026-11-29T15:25:31.757170Z",` +
		`"kind":"scheduled","schedule_name":"s1","task_name":"shop.orders.reconcile","args":[],"kwargs":{"shop_id":4711,"currency":"EUR","dry_run":false},"queue":"shops"}`
	b.ReportAllocs()
	for b.Loop() {
		run, err := celery.ReadRun([]byte(data))
		if err != nil {
			b.Fatal(err)
		}
		if _, _, err := celery.Encode(run, "01a227e9-133b-7c03-b843-9d6cd3d6bd21", celery.Config{}); err != nil {
			b.Fatal(err)
		}
	}
}
