package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable shows control characters as escapes. Names and arguments are other people's, and a terminal would obey what is in
// them: move its cursor, rename its window, or type. Ends of lines and tabs are ours.
type printable struct{ to io.Writer }

// Write shows a text. Each call has whole characters, as those of fmt and tabwriter have.
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

// escaped writes control characters as JSON does, so that a document stays what it is.
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

// obeyed reports whether a terminal does something at a character instead of showing it. Of those that are no control
// characters, some turn the direction of a text, so that another one is read than is there.
func obeyed(r rune) bool {
	if r == '\n' || r == '\t' {
		return false
	}
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
}
