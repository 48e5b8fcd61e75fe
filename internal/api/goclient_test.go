package api_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	tactus "github.com/tactus-dev/tactus/clients/go"
	"github.com/tactus-dev/tactus/internal/api"
)

// TestGoClientIsGenerated generates the types of clients/go from the description and compares them with what is on
// file.
func TestGoClientIsGenerated(t *testing.T) {
	t.Parallel()
	description, err := api.Description()
	if err != nil {
		t.Fatal(err)
	}
	from, to := filepath.Join(t.TempDir(), "openapi.json"), filepath.Join(t.TempDir(), "types.gen.go")
	if err := os.WriteFile(from, description, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "tool", "oapi-codegen", "-config", "client.yaml", "-o", to, from)
	cmd.Dir = "../generators"
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	now, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	const path = "../../clients/go/types.gen.go"
	if *update {
		if err := os.WriteFile(path, now, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(text), string(now)); diff != "" {
		t.Errorf("on file (-), now (+): run go test ./internal/api -run GoClient -update\n%s", diff)
	}
}

// TestGoClientKnowsWhatTakesKeys checks that the client sends an Idempotency-Key to each operation that remembers one,
// and to no other.
func TestGoClientKnowsWhatTakesKeys(t *testing.T) {
	t.Parallel()
	text, err := api.Description()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct{ Parameters []struct{ Name string } }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	variable, keyed := regexp.MustCompile(`\{\w+\}`), 0
	for path, operations := range document.Paths {
		path = variable.ReplaceAllString(strings.TrimPrefix(path, "/api/v1"), "one")
		for method, operation := range operations {
			takes := false
			for _, parameter := range operation.Parameters {
				takes = takes || parameter.Name == "Idempotency-Key"
			}
			if got := tactus.TakesKey(strings.ToUpper(method), path); got != takes {
				t.Errorf("%s %s takes a key: %v, the client believes %v", method, path, takes, got)
			}
			if takes {
				keyed++
			}
		}
	}
	if keyed < 4 {
		t.Errorf("%d operations take a key: the search is broken", keyed)
	}
}
