package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

// TestExchanges replays requests of clients, some of which are older than the rewrite of this API, and compares the
// answers with those on file. A file is a list of exchanges:
//
//	> METHOD path      the request, and its body in the lines after it
//	< status           what was answered
//	$ statement        SQL that stands for what a worker does
//	# remark
//
// Ids and times differ each time: they are shown as <id 1>, <id 2> in the order of their appearance, and <time>. A
// request may name an id that was shown before.
func TestExchanges(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"clients"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := "testdata/" + name + ".txt"
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			e := exchanges{service: serve(t), ids: map[string]string{}}
			got := e.replay(t, string(text))
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*update {
				t.Errorf("on file (-), now (+):\n%s", diff)
			}
		})
	}
}

// exchanges is one conversation.
type exchanges struct {
	service
	ids map[string]string // as they are, by how they are shown
}

// replay sends the requests of a file, and returns its text with the answers of this run.
func (e exchanges) replay(t *testing.T, text string) string {
	t.Helper()
	var out strings.Builder
	for block := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n\n") {
		if out.Len() > 0 {
			out.WriteString("\n")
		}
		said, _, _ := strings.Cut("\n"+block, "\n< ")
		said = strings.TrimPrefix(said, "\n")
		out.WriteString(said + "\n")
		switch first, body, _ := strings.Cut(said, "\n"); first[0] {
		case '>':
			method, path, _ := strings.Cut(e.real(first[2:]), " ")
			answer := e.do(t, method, path, e.real(body))
			fmt.Fprintf(&out, "< %d\n", answer.status)
			if answer.body != "" {
				out.WriteString(e.shown(t, answer.body) + "\n")
			}
		case '$':
			if _, err := e.pool.Exec(t.Context(), e.real(first[2:])); err != nil {
				t.Fatalf("%s: %v", first, err)
			}
		}
	}
	return out.String()
}

// real replaces shown ids by the real ones.
func (e exchanges) real(text string) string {
	for shown, id := range e.ids {
		text = strings.ReplaceAll(text, shown, id)
	}
	return text
}

var (
	anID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	aTime  = regexp.MustCompile(`"20\d\d-\d\d-\d\dT[\d:.]+Z"`)
	aTaskN = regexp.MustCompile(`-[0-9a-f]{12}"`)
)

// shown returns a body in readable form, without what differs from run to run.
func (e exchanges) shown(t *testing.T, body string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(strings.TrimSpace(body)), "", "  "); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	text := anID.ReplaceAllStringFunc(b.String(), func(id string) string {
		for shown, known := range e.ids {
			if known == id {
				return shown
			}
		}
		shown := fmt.Sprintf("<id %d>", len(e.ids)+1)
		e.ids[shown] = id
		return shown
	})
	return aTaskN.ReplaceAllString(aTime.ReplaceAllString(text, `"<time>"`), `-<part of the id>"`)
}
