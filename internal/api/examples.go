package api

import (
	_ "embed"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed examples.txt
var exampleText string

// example is a request with its answer.
type example struct{ method, target, body, status, answer string }

// examples returns the requests and answers in the file, in their order.
func examples() (all []example) {
	for block := range strings.SplitSeq(strings.TrimSpace(exampleText), "\n\n") {
		if !strings.HasPrefix(block, "> ") {
			continue
		}
		said, answered, _ := strings.Cut(block, "\n< ")
		request, body, _ := strings.Cut(said[2:], "\n")
		status, answer, _ := strings.Cut(answered, "\n")
		method, target, _ := strings.Cut(request, " ")
		all = append(all, example{method, target, body, status, answer})
	}
	return all
}

// exemplified adds to the description of each operation its first example.
func exemplified(document *huma.OpenAPI) {
	for _, e := range examples() {
		path, query, _ := strings.Cut(e.target, "?")
		op, values := operationAt(document, e.method, path)
		if op == nil || op.Extensions[hasExample] != nil {
			continue
		}
		op.Extensions = map[string]any{hasExample: map[string]any{"request": e.method + " " + e.target}}
		given, _ := url.ParseQuery(query) // it is on file, and TestExamples sends it
		for _, p := range op.Parameters {
			if p.In == "path" {
				p.Example = values[p.Name]
			} else if p.In == "query" && given.Has(p.Name) {
				p.Example = parameterOf(p.Schema, given[p.Name])
			}
		}
		if op.RequestBody != nil && e.body != "" {
			op.RequestBody.Content["application/json"].Example = decoded(e.body)
		}
		if response := op.Responses[e.status]; response != nil {
			for kind, content := range response.Content {
				if strings.HasSuffix(kind, "json") {
					content.Example = decoded(e.answer)
				}
			}
		}
	}
}

// hasExample is the name of the extension that holds the request of an operation's example.
const hasExample = "x-example"

// operationAt returns the operation at a path, with the values of the path's parameters. If several match, it returns
// the one with the fewest parameters, as a mux does.
func operationAt(document *huma.OpenAPI, method, path string) (found *huma.Operation, values map[string]string) {
	for template, item := range document.Paths {
		for _, op := range operationsOf(item) {
			if op.Method != method {
				continue
			}
			if matched := match(template, path); matched != nil && (found == nil || len(matched) < len(values)) {
				found, values = op, matched
			}
		}
	}
	return found, values
}

var parameter = regexp.MustCompile(`[{]([^}]+)[}]`)

// match returns the values of a template's parameters in a path, or nil if the path does not match the template.
func match(template, path string) map[string]string {
	want, have := strings.Split(template, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return nil
	}
	values := map[string]string{}
	for i := range want {
		if name := parameter.FindStringSubmatch(want[i]); name != nil {
			values[name[1]] = have[i]
		} else if want[i] != have[i] {
			return nil
		}
	}
	return values
}

// parameterOf returns the value of a parameter in the type of its schema.
func parameterOf(schema *huma.Schema, given []string) any {
	switch schema.Type {
	case huma.TypeArray:
		return given
	case huma.TypeInteger, huma.TypeNumber, huma.TypeBoolean:
		return decoded(given[0])
	}
	return given[0]
}

func decoded(text string) (value any) {
	_ = json.Unmarshal([]byte(text), &value) // it is on file, and TestExamples reads it
	return value
}
