package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestExamples sends the example requests of the description, and compares the answers with the example answers.
func TestExamples(t *testing.T) {
	t.Parallel()
	const path = "examples.txt"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t)
	s.url = strings.TrimSuffix(s.url, "/api/v1")
	names := exampleNames{}
	var got []string
	for block := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		said, _, _ := strings.Cut(block, "\n< ")
		if strings.HasPrefix(said, "> ") {
			first, body, _ := strings.Cut(said[2:], "\n")
			method, target, _ := strings.Cut(names.real(first), " ")
			status, answer := s.say(t, method, target, names.real(body))
			if status >= http.StatusBadRequest {
				t.Errorf("%s: %d %s", first, status, answer)
			}
			said += strings.TrimSuffix(fmt.Sprintf("\n< %d\n%s", status, names.shown(answer)), "\n")
		}
		got = append(got, said)
	}
	now := strings.Join(got, "\n\n") + "\n"
	if *update {
		if err := os.WriteFile(path, []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(text), now); diff != "" && !*update {
		t.Errorf("on file (-), now (+):\n%s", diff)
	}
}

// TestEveryOperationHasAnExample checks that every operation has a request in examples.txt.
func TestEveryOperationHasAnExample(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.url = strings.TrimSuffix(s.url, "/api/v1")
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string
			Summary     string
			Tags        []string
			Example     struct{ Request string } `json:"x-example"`
			RequestBody *struct {
				Required bool
				Content  map[string]struct {
					Example any
					Schema  struct {
						Ref string `json:"$ref"`
					}
				}
			}
			Responses map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(s.do(t, "GET", "/openapi.json", "").want(t, 200).body), &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for method, op := range item {
			if op.Example.Request == "" || op.Summary == "" || len(op.Tags) != 1 {
				t.Errorf("%s %s: example %q, summary %q, tags %v", method, path, op.Example.Request, op.Summary, op.Tags)
			}
			if op.RequestBody == nil {
				continue
			}
			body := op.RequestBody.Content["application/json"]
			if body.Schema.Ref == "" || op.RequestBody.Required && body.Example == nil {
				t.Errorf("%s %s takes %q, for example %v: takes describes it, and examples.txt", method, path, body.Schema.Ref, body.Example)
			}
		}
	}
}

// say sends a request, and returns its answer; of a stream, the first event.
func (s service) say(t *testing.T, method, target, body string) (status int, answer string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") == "text/event-stream" {
		return response.StatusCode, firstEvent(t, response.Body)
	}
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if len(raw) == 0 {
		return response.StatusCode, ""
	}
	var text bytes.Buffer
	if err := json.Indent(&text, bytes.TrimSpace(raw), "", "  "); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return response.StatusCode, text.String()
}

func firstEvent(t *testing.T, body io.Reader) string {
	t.Helper()
	var lines []string
	scanner := bufio.NewScanner(body)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		switch line := scanner.Text(); {
		case line == "" && len(lines) > 0:
			return strings.Join(lines, "\n")
		case line != "" && !strings.HasPrefix(line, "retry:"):
			lines = append(lines, line)
		}
	}
	t.Fatalf("the stream ended: %v", scanner.Err())
	return ""
}

// exampleNames maps the ids of this run to those on file.
type exampleNames map[string]string

// aWeekBefore is a week before what is shown for now.
const aWeekBefore = "2040-11-26T00:30:00Z"

// real replaces the ids on file by those of this run.
func (n exampleNames) real(text string) string {
	for id, shown := range n {
		text = strings.ReplaceAll(text, shown, id)
	}
	return strings.ReplaceAll(text, aWeekBefore, time.Now().UTC().Add(-7*24*time.Hour).Format(time.RFC3339))
}

var (
	someTime   = regexp.MustCompile(`20\d\d-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)`)
	someSecret = regexp.MustCompile(`"tactus_[^"]+"`)
	someKey    = regexp.MustCompile(`"whsec_[^"]+"`)
	someCursor = regexp.MustCompile(`("(?:next|epoch|next_page_token)": )"[^"]+"`)
	someDelay  = regexp.MustCompile(`("fires_at": (?:\[\s*)?"20\d\d-\d\d-\d\dT\d\d:\d\d):[\d.]+([^"]*")(?:[^\]"]*"20[^"]*")*`) // by a random id
	someEvent  = regexp.MustCompile(`(?m)^id: .*$`)
	somePlace  = regexp.MustCompile(`("epoch": ?)"[^"]*"`)
)

// shown returns a text in which everything that differs from run to run is replaced.
func (n exampleNames) shown(text string) string {
	text = anID.ReplaceAllStringFunc(text, func(id string) string {
		if n[id] == "" {
			n[id] = fmt.Sprintf("019b0000-0000-7000-8000-%012d", len(n)+1)
		}
		return n[id]
	})
	text = someDelay.ReplaceAllString(text, "${1}:17.25${2}")
	text = someTime.ReplaceAllStringFunc(text, func(text string) string {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || time.Until(at).Abs() > 30*24*time.Hour {
			return text // it was asked for
		}
		return time.Date(2040, 12, 3, 0, 30, 0, 0, time.UTC).In(at.Location()).Format(time.RFC3339)
	})
	text = someSecret.ReplaceAllString(text, `"tactus_..."`)
	text = someKey.ReplaceAllString(text, `"whsec_..."`)
	text = someEvent.ReplaceAllString(text, "id: 1-1")
	text = somePlace.ReplaceAllString(text, `${1}"1"`)
	return someCursor.ReplaceAllString(text, `${1}"1-1"`)
}
