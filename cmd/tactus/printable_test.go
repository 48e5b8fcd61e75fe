package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestTerminalsObeyNoForeignText prints names that would rename a terminal's window, and others that would begin
// columns of their own.
func TestTerminalsObeyNoForeignText(t *testing.T) {
	t.Parallel()
	const evil = "a\x1b]0;owned\x07\u009b31mb\u202etxt\r"
	name, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/refuse"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprintf(w, `{"errors":[{"code":"x","message":%s}]}`, name)
		case strings.HasSuffix(r.URL.Path, "/routes"):
			fmt.Fprintf(w, `{"routes":[{"pattern":%s}]}`, name)
		default:
			fmt.Fprintf(w, `{"schedules":[{"name":%s,"tags":[%s]}]}`, name, name)
		}
	}))
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "crontab")
	if err := os.WriteFile(file, []byte("0 9 * * * echo \x1b]0;owned\x07\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"schedule", "list", "--url", server.URL},
		{"route", "list", "--url", server.URL},
		{
			"import", "crontab", "--database-url", testenv.DatabaseURL(t), "--task", "t", "--celery-timezone", "UTC",
			"--dry-run", file,
		},
		{"schedule", "list", "--url", server.URL, evil},
	} {
		got := tactus(t, args...)
		if all := got.out + got.problems; strings.ContainsFunc(all, obeyed) || !strings.Contains(all, `\u001b`) {
			t.Errorf("%q: %q", args, all)
		}
	}
}

// TestOnlyWhatIsObeyedIsEscaped checks that characters which no terminal obeys are printed unchanged.
func TestOnlyWhatIsObeyedIsEscaped(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a\tb\nc": "a\tb\nc", "é→\U0001f600": "é→\U0001f600",
		"\x7f\xff\u2066": `\u007f\xff\u2066`,
	} {
		var out bytes.Buffer
		if n, err := (printable{&out}).Write([]byte(text)); err != nil || n != len(text) || out.String() != want {
			t.Errorf("%q: %q, %d, %v", text, out.String(), n, err)
		}
	}
}

// TestNoNameBeginsALine has names with newlines in the output of doctor and in the log.
func TestNoNameBeginsALine(t *testing.T) {
	t.Parallel()
	const evil = "v\n! everything\tis fine\r\x1b[2K\u202e\u0085"
	var out bytes.Buffer
	d := &diagnosis{to: printable{&out}}
	d.well("%s", evil)
	d.remark("drop %s", evil)
	d.sick("%v", errors.New(evil))
	slog.New(slog.NewTextHandler(printable{&out}, nil)).Warn(evil, "view", evil, "err", errors.New(evil), "all", []string{evil})
	if text := out.String(); strings.Count(text, "\n") != 4 || strings.ContainsFunc(text, obeyed) ||
		strings.Contains(text, "\t") || !strings.Contains(text, "  v\\n! everything\\tis fine\\u000d") {
		t.Errorf("%q", text)
	}
}

// TestNothingIsPrintedButBySay looks at each call that prints: text that is not a literal of this program goes through
// say, so that no text from outside begins a line or a column.
func TestNothingIsPrintedButBySay(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	looked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || name == "printable.go" || name == "progress.go" {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			what := types.ExprString(call.Fun)
			if what == "say" || what == "tell" || what == "sayLine" {
				looked++
			}
			prints := strings.HasPrefix(what, "fmt.Fprint")
			if prints && slices.ContainsFunc(call.Args[1:], func(e ast.Expr) bool { return !literal(e) }) ||
				strings.HasPrefix(what, "fmt.Print") || what == "io.Copy" {
				t.Errorf("%s: print by say", set.Position(call.Pos()))
			}
			return true
		})
	}
	if looked < 50 {
		t.Errorf("only %d places print", looked)
	}
}

// literal reports whether an expression is a text literal of the program.
func literal(e ast.Expr) bool {
	if sum, ok := e.(*ast.BinaryExpr); ok {
		return literal(sum.X) && literal(sum.Y)
	}
	_, ok := e.(*ast.BasicLit)
	return ok
}

// TestNoValueBeginsALine prints names with newlines, as values of every type.
func TestNoValueBeginsALine(t *testing.T) {
	t.Parallel()
	type word string
	const evil = "v\n+ created everything\tfine"
	for _, value := range []any{
		evil, word(evil), errors.New(evil), []string{evil}, json.RawMessage(evil), fmt.Errorf("x: %w", errors.New(evil)), &url.URL{Opaque: evil},
	} {
		var out bytes.Buffer
		say(printable{&out}, "a\tb\n%v, %s\n", value, value)
		if text := out.String(); strings.Count(text, "\n") != 2 || strings.Count(text, "\t") != 1 || !strings.Contains(text, `v\n+ created`) {
			t.Errorf("%T: %q", value, text)
		}
	}
	var out bytes.Buffer
	tell(printable{&out}, errors.Join(errors.New("one"), errors.New("two "+evil)))
	if text := out.String(); text != "tactus: one\n  two v\n  + created everything\tfine\n" {
		t.Errorf("%q", text)
	}
	out.Reset()
	say(&out, "%d %5.1f %-3s|%t %v\n", 1, 2.5, "é", true, nil)
	if text := out.String(); text != "1   2.5 é  |true <nil>\n" {
		t.Errorf("%q", text)
	}
}
