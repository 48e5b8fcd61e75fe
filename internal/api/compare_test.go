package api_test

import (
	"strings"
	"testing"
)

// TestComparedByValue compares arguments that are written otherwise, and ones that are others.
func TestComparedByValue(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const definition = `{"name":"n","cron_expression":"* * * * *","task_name":"t","kwargs":{"a":1,"b":[1.50,{"x":null,"é":"\u00e9"}],"big":12345678901234567890}}`
	s.do(t, "POST", "/schedules", definition).want(t, 201)
	for kwargs, want := range map[string]string{
		`{"big":12345678901234567890,"b":[15e-1, {"\u00e9":"é","x":null}],"a":1}`: "same",
		`{"a":1.0,"b":[1.50,{"x":null,"é":"é"}],"big":12345678901234567890}`:      "change", // a float for workers
		`{"a":1,"b":[1.50,{"x":null,"é":"é"}],"big":12345678901234567891}`:        "change",
		`{"a":1,"b":[{"x":null,"é":"é"},1.50],"big":12345678901234567890}`:        "change",
		`{"a":1,"b":[1.50,{"é":"é"}],"big":12345678901234567890}`:                 "change",
	} {
		before, _, _ := strings.Cut(definition, `{"a"`)
		if a := s.do(t, "POST", "/schedules/compare", before+kwargs+"}").want(t, 200); a.member(t, "outcome") != want {
			t.Errorf("%s: %s", kwargs, a.body)
		}
	}
}
