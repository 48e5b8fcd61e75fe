package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable writes control characters as escapes. Names and arguments come from other people, and a terminal would obey
// control characters in them: move its cursor, rename its window, or type. Newlines and tabs come from this program,
// and stay.
type printable struct{ to io.Writer }

// Write implements io.Writer. Each call must have whole characters, as the calls of fmt and tabwriter do.
func (p printable) Write(text []byte) (int, error) {
	shown := text
	if bytes.ContainsFunc(text, obeyed) || !utf8.Valid(text) {
		shown = []byte(escaped(string(text)))
	}
	if n, err := p.to.Write(shown); err != nil {
		return min(n, len(text)), err
	}
	return len(text), nil
}

// oneLine is like escaped, but escapes newlines and tabs as well, so that no part of the text begins a line of its own.
func oneLine(text string) string {
	return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(escaped(text))
}

// ours is a text whose newlines and tabs say does not escape: they come from this program, and those of others are
// escaped already, as in JSON.
type ours string

// say prints values by a format. It escapes newlines and tabs in values, so no value can begin a line or a column.
func say(to io.Writer, format string, values ...any) (int, error) {
	for i, value := range values {
		values[i] = inLine(value)
	}
	return fmt.Fprintf(to, format, values...)
}

func inLine(value any) any {
	switch v := value.(type) {
	case ours, nil:
		return v
	case error, fmt.Stringer, []string:
		return oneLine(fmt.Sprint(v))
	case json.RawMessage:
		return oneLine(string(v))
	}
	if v := reflect.ValueOf(value); v.Kind() == reflect.String {
		return oneLine(v.String())
	}
	return value
}

// sayLine prints exactly one line, whatever characters its values have.
func sayLine(to io.Writer, format string, values ...any) { say(to, format+"\n", values...) }

// tell prints an error. If the error has several lines, those after the first are indented, so that no name in the
// error can begin a line that looks like another message.
func tell(to io.Writer, err error) {
	fault := strings.TrimRight(err.Error(), "\n")
	say(to, "tactus: %s\n", ours(strings.ReplaceAll(fault, "\n", "\n  ")))
}

// escaped writes control characters as JSON does, so that a JSON document keeps its meaning.
func escaped(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case obeyed(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		text = text[size:]
	}
	return b.String()
}

// obeyed reports whether a terminal acts on a character instead of showing it. That includes format characters that
// change the direction of text, which would make a reader see a different text.
func obeyed(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
