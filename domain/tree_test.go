package domain

import (
	"encoding/json"
	"runtime"
	"strings"
	"testing"
)

// TestMergedValues has the cases of RFC 7396, and what looks like an end of a value and is none.
func TestMergedValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ target, patch, want string }{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, ` { "b" : "c" } `, `{"a":"b","b":"c"}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1, {"x":null}]}`, `{"a":[1, {"x":null}]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{``, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`{"a\"}":"\\","b":"}","c":1.50e3}`, "{\n\"\\u0061\\\"}\":\t{}\r\n}", `{"a\"}":{},"b":"}","c":1.50e3}`},
		{`{"a":"\ud800"}`, `{"b":"\u0000"}`, `{"a":"\ud800","b":"\u0000"}`},
	} {
		var target json.RawMessage
		if c.target != "" {
			target = json.RawMessage(c.target)
		}
		if got := string(mergeValue(target, json.RawMessage(c.patch))); got != c.want {
			t.Errorf("%s to %s: %s, want %s", c.patch, c.target, got, c.want)
		}
	}
}

// TestDeepPatchesCostLittle merges values that are as large and as deep as a body can be. What it costs is measured in
// memory: going through the rest of the text at each level would take hundreds of times as much.
func TestDeepPatchesCostLittle(t *testing.T) {
	for depth, size := range map[int]int{9_990: 0, 1_000: 240 << 10} {
		value := strings.Repeat(`{"a":`, depth) + `["` + strings.Repeat("x", size) + `"]` + strings.Repeat(`}`, depth)
		d := Definition{Name: "a", TaskName: "b", CronExpression: "* * * * *", Kwargs: json.RawMessage(value)}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := d.Merge([]byte(`{"kwargs":` + strings.Replace(value, `["`, `["y`, 1) + `}`)); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 32<<20 {
			t.Errorf("%d levels: %d bytes", depth, spent)
		}
	}
}
