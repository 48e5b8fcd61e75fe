package tools

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const schemaFile = chartDir + "/values.schema.json"

// shape is a JSON Schema, as far as the chart's uses it.
type shape struct {
	Type                 any
	Description          string
	Properties           map[string]shape
	AdditionalProperties any
	Ref                  string           `json:"$ref"`
	Defs                 map[string]shape `json:"$defs"`
	order                []string
}

// UnmarshalJSON also keeps the order of the properties.
func (s *shape) UnmarshalJSON(text []byte) error {
	type plain shape
	if err := json.Unmarshal(text, (*plain)(s)); err != nil {
		return err
	}
	var outer struct{ Properties json.RawMessage }
	if err := json.Unmarshal(text, &outer); err != nil || outer.Properties == nil {
		return err
	}
	in := json.NewDecoder(strings.NewReader(string(outer.Properties)))
	if _, err := in.Token(); err != nil { // the brace
		return err
	}
	for in.More() {
		name, err := in.Token()
		if err != nil {
			return err
		}
		var skipped json.RawMessage
		if err := in.Decode(&skipped); err != nil {
			return err
		}
		s.order = append(s.order, name.(string))
	}
	return nil
}

func schema(t *testing.T) shape {
	t.Helper()
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var s shape
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSchemaAndValuesAgree checks that every default is in the schema with a text, that every value of the schema has
// a default, and that an object takes other members only where it is a map of the user's own.
func TestSchemaAndValuesAgree(t *testing.T) {
	top := schema(t)
	var walk func(path string, s shape, v any)
	walk = func(path string, s shape, v any) {
		if path != "" && s.Description == "" {
			t.Errorf("%s has no text", path)
		}
		if s.Properties == nil {
			return
		}
		if s.AdditionalProperties != false {
			t.Errorf("%s takes members that nobody reads", path)
		}
		defaults, isMap := v.(map[string]any)
		for name := range defaults {
			if _, known := s.Properties[name]; !known {
				t.Errorf("values.yaml has %s.%s, which the schema does not know", path, name)
			}
		}
		for name, below := range s.Properties {
			value, given := defaults[name]
			if isMap && !given && name != "global" {
				t.Errorf("values.yaml has no default for %s.%s", path, name)
			}
			walk(strings.TrimPrefix(path+"."+name, "."), below, value)
		}
	}
	walk("", top, values(t, chartDir+"/values.yaml"))
}

// made are the settings that the chart sets itself, from other values.
var made = []string{"TACTUS_HTTP_ADDR", "TACTUS_DRAIN", "TACTUS_TLS_CERT", "TACTUS_TLS_KEY", "TACTUS_TLS_CLIENT_CA"}

// TestSchemaKnowsEverySetting compares the settings that env takes with those that the program's help names; -update
// writes them.
func TestSchemaKnowsEverySetting(t *testing.T) {
	read, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	text, common := string(read), map[string]bool{}
	for _, role := range []string{"api", "relay", "beat", "migrate", "common"} {
		known := common
		if role != "common" {
			known = understood(t, role)
			for name := range secretSettings(t, role) {
				known[name+"_FILE"] = true
			}
			maps.Copy(common, known)
		}
		for _, name := range made {
			delete(known, name)
		}
		enum := regexp.MustCompile(`(?s)(\n    "` + role + `": \{\s+"anyOf": \[.*?"enum": \[)[^\]]*\]`)
		if len(enum.FindAllString(text, -1)) != 1 {
			t.Fatalf("the schema has no settings of %s", role)
		}
		text = enum.ReplaceAllString(text, "${1}"+wrapped(slices.Sorted(maps.Keys(known)))+"]")
	}
	compare(t, schemaFile, text)
}

// secretSettings are the settings that can be read from a file, as the help of a subcommand says.
func secretSettings(t *testing.T, subcommand string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	help := strings.Join(strings.Fields(tactus(t, subcommand, "--help")), " ")
	for _, found := range regexp.MustCompile(`or ([A-Z_]+)_FILE, a file with it`).FindAllStringSubmatch(help, -1) {
		names[found[1]] = true
	}
	return names
}

// wrapped are names as a list of JSON, in lines of at most 110 columns.
func wrapped(names []string) string {
	var out strings.Builder
	width := 1000
	for n, name := range names {
		word := fmt.Sprintf("%q", name)
		if n < len(names)-1 {
			word += ","
		}
		if width+len(word) > 110 {
			out.WriteString("\n           ")
			width = 11
		}
		out.WriteString(" " + word)
		width += len(word) + 1
	}
	return out.String() + "\n          "
}

// TestValuesOfTheManual compares the table in docs/kubernetes.md with the schema and the defaults; -update writes it.
func TestValuesOfTheManual(t *testing.T) {
	const manual = "../../docs/kubernetes.md"
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	const begins, ends = "<!-- values -->\n", "<!-- end of values -->\n"
	before, rest, found := strings.Cut(string(text), begins)
	_, after, ended := strings.Cut(rest, ends)
	if !found || !ended {
		t.Fatalf("%s has no place for the values", manual)
	}
	var table strings.Builder
	table.WriteString("| value | default | what it is |\n|---|---|---|\n")
	var walk func(path string, s shape, v any)
	walk = func(path string, s shape, v any) {
		for _, name := range s.order {
			below, here := s.Properties[name], strings.TrimPrefix(path+"."+name, ".")
			value := at[any](map[string]any{"v": v}, "v", name)
			switch _, isMap := value.(map[string]any); {
			case name == "global":
			case below.Properties != nil && isMap:
				walk(here, below, value)
			default:
				said, err := yaml.Marshal(value)
				if err != nil {
					t.Fatal(err)
				}
				if isMap || strings.Count(string(said), "\n") > 1 {
					if said, err = json.Marshal(value); err != nil {
						t.Fatal(err)
					}
				}
				fmt.Fprintf(&table, "| `%s` | `%s` | %s |\n", here, strings.TrimSpace(string(said)), strings.ReplaceAll(below.Description, "|", `\|`))
			}
		}
	}
	walk("", schema(t), values(t, chartDir+"/values.yaml"))
	compare(t, manual, before+begins+table.String()+ends+after)
}
