package domain

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMembersAreThoseOfTheObject compares with encoding/json.
func TestMembersAreThoseOfTheObject(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`{}`, ` { } `, `{"name":"a"}`, "{\"name\" :\t1 ,\n\"n\":null}", `{"name":"a","name":"b"}`, `{"":1," ":2}`,
		`{"a\"b":"c\\","task_name":{"x":[1,{"y":"}]"}],"z":"\""},"args":[[],"]",{}],"n":-1.5e3 }`, `{"n\u0061me":true,"世":false}`,
		`{"a":"\\\"","b":[{"c":{}}]}`, `{"\ud800":1,"x":"{"}`,
	} {
		var want map[string]json.RawMessage
		if err := json.Unmarshal([]byte(raw), &want); err != nil {
			t.Fatal(err)
		}
		got, err := Members([]byte(raw))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", raw, err, diff)
		}
	}
}

// TestUnknownMembersAreNotKept has as many members as a body holds.
func TestUnknownMembersAreNotKept(t *testing.T) {
	var body strings.Builder
	for n := 0; body.Len() < MaxPayload-100; n++ {
		fmt.Fprintf(&body, `"k%x":1,`, n)
	}
	raw := []byte("{" + body.String() + `"name":"a"}`)
	got, err := Members(raw)
	if err != nil || len(got) != MaxFaults+1 || string(got["name"]) != `"a"` {
		t.Errorf("%d members, %v", len(got), err)
	}
	if n := testing.AllocsPerRun(5, func() { _, _ = Decode(raw) }); n > 5_000 {
		t.Errorf("%v allocations", n)
	}
	if _, err := Decode(raw); len(FaultsOf(err)) != MaxFaults {
		t.Errorf("%d faults", len(FaultsOf(err)))
	}
}
