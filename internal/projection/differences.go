package projection

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Differences describes the columns in which r differs from want.
func (r Row) Differences(want Row) (all []string) {
	is, should := r.normal().cells(), want.normal().cells()
	for i, name := range cellNames {
		if is[i] != should[i] {
			all = append(all, fmt.Sprintf("%s is %s, want %s", name, shorten(is[i]), shorten(should[i])))
		}
	}
	return all
}

// normal returns r with its JSON and its trigger re-encoded by this release, so that other forms of the same value
// compare equal. It leaves a value that it cannot decode unchanged.
func (r Row) normal() Row {
	if t, err := domain.ParseTrigger(r.Trigger); err == nil {
		r.Trigger = t.String()
	}
	if p, err := domain.ParsePolicy(r.Policy); err == nil {
		r.Policy = p.String()
	}
	r.Definition, r.Task = reencode[domain.Definition](r.Definition), reencode[domain.Task](r.Task)
	return r
}

func reencode[T any](text string) string {
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return string(encoded)
}

const shortened = 120

func shorten(text string) string {
	if len(text) <= shortened {
		return text
	}
	return strings.ToValidUTF8(text[:shortened], "") + "..."
}
