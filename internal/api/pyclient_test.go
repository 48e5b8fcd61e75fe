package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/internal/api"
)

// pySchema is the part of a schema that the generator reads.
type pySchema struct {
	Type                 any                 `json:"type"`
	Ref                  string              `json:"$ref"`
	Enum                 []any               `json:"enum"`
	Items                *pySchema           `json:"items"`
	OneOf                []pySchema          `json:"oneOf"`
	AllOf                []pySchema          `json:"allOf"`
	Properties           map[string]pySchema `json:"properties"`
	AdditionalProperties json.RawMessage     `json:"additionalProperties"`
	Required             []string            `json:"required"`
}

// TestPythonClientIsGenerated writes the types of clients/python from the description and compares them with what is
// on file.
func TestPythonClientIsGenerated(t *testing.T) {
	t.Parallel()
	description, err := api.Description()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Components struct{ Schemas map[string]pySchema }
	}
	if err := json.Unmarshal(description, &document); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Generated from the description of the API: go test ./internal/api -run PythonClient -update\n")
	b.WriteString("from typing import Any, Literal, NotRequired, TypedDict, Union\n")
	schemas := document.Components.Schemas
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		s := schemas[name]
		if s.Properties == nil {
			fmt.Fprintf(&b, "\n%s = %s\n", name, s.aliased())
			continue
		}
		fmt.Fprintf(&b, "\n%s = TypedDict(%q, {\n", name, name)
		for _, member := range slices.Sorted(maps.Keys(s.Properties)) {
			of := "'" + s.Properties[member].python() + "'"
			if !slices.Contains(s.Required, member) {
				of = "NotRequired[" + of + "]"
			}
			fmt.Fprintf(&b, "    %q: %s,\n", member, of)
		}
		b.WriteString("})\n")
	}
	const path = "../../clients/python/tactus/types.py"
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), b.String()); diff != "" {
		t.Errorf("on file (-), now (+): run go test ./internal/api -run PythonClient -update\n%s", diff)
	}
}

// aliased is a type that is evaluated at once, where a name may stand for one that comes later.
func (s pySchema) aliased() string {
	if len(s.OneOf) == 0 {
		return s.python()
	}
	all := make([]string, len(s.OneOf))
	for i, one := range s.OneOf {
		all[i] = "'" + one.python() + "'"
	}
	return "Union[" + strings.Join(all, ", ") + "]"
}

// python returns the Python type of a schema.
func (s pySchema) python() string {
	switch {
	case s.Ref != "":
		return strings.TrimPrefix(s.Ref, "#/components/schemas/")
	case len(s.AllOf) == 1:
		return s.AllOf[0].python()
	case len(s.OneOf) > 0:
		all := make([]string, len(s.OneOf))
		for i, one := range s.OneOf {
			all[i] = one.python()
		}
		return strings.Join(all, " | ")
	case len(s.Enum) > 0:
		all := make([]string, len(s.Enum))
		for i, one := range s.Enum {
			text, _ := json.Marshal(one) // it came from JSON
			all[i] = strings.Replace(string(text), "null", "None", 1)
		}
		return "Literal[" + strings.Join(all, ", ") + "]"
	}
	types, ok := s.Type.([]any)
	if !ok {
		types = []any{s.Type}
	}
	all := make([]string, len(types))
	for i, one := range types {
		all[i] = s.plain(one)
	}
	return strings.Join(all, " | ")
}

func (s pySchema) plain(of any) string {
	switch of {
	case "string":
		return "str"
	case "integer":
		return "int"
	case "number":
		return "float"
	case "boolean":
		return "bool"
	case "null":
		return "None"
	case "array":
		if s.Items == nil {
			return "list[Any]"
		}
		return "list[" + s.Items.python() + "]"
	case "object":
		var values pySchema
		if json.Unmarshal(s.AdditionalProperties, &values) == nil && values.Type != nil {
			return "dict[str, " + values.python() + "]"
		}
		return "dict[str, Any]"
	}
	return "Any"
}
