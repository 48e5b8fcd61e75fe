package celery

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Shown returns a task's args and kwargs as Celery shows them to people, in logs and events.
func Shown(args, kwargs json.RawMessage) (string, string) {
	if len(args) == 0 {
		args = json.RawMessage("[]")
	}
	if len(kwargs) == 0 {
		kwargs = json.RawMessage("{}")
	}
	return argsRepr(args), safeRepr(kwargs)
}

// argsRepr returns args as Celery shows them in logs, events and flower. No arguments are shown as an empty tuple.
func argsRepr(raw json.RawMessage) string {
	if text := safeRepr(raw); text != "[]" {
		return text
	}
	return "()"
}

// The bounds of a representation are Celery's own.
const (
	maxRepr      = 1024 // characters; strings and closing brackets may exceed it a little
	maxReprLevel = 3    // deeper values are shown as [...] or {...}
)

// safeRepr formats a JSON value as Celery's saferepr does: bounded in length and depth, with strings in which only the
// quote is escaped. The result is for people; no program parses it.
func safeRepr(raw json.RawMessage) string {
	w := reprWriter{in: scanner{text: raw}, left: maxRepr}
	w.value()
	return w.text.String()
}

type reprWriter struct {
	in    scanner // a valid value
	text  strings.Builder
	left  int // characters that may still be written
	level int // open brackets
	full  bool
}

// put writes one token. When no space is left, it writes an ellipsis instead, and then only closing brackets follow.
func (w *reprWriter) put(token string) {
	if w.full {
		return
	}
	if w.left <= 0 {
		w.full = true
		token = ", ..."
	}
	w.text.WriteString(token)
	w.left -= utf8.RuneCountInString(token)
}

func (w *reprWriter) value() {
	if w.full {
		return
	}
	switch w.in.next() {
	case '[':
		w.container('[', ']')
	case '{':
		w.container('{', '}')
	case '"':
		text, _ := unquote(w.in.value())
		w.put(w.quote(text))
	case 't':
		w.put(w.shorten("True"))
		w.in.literal()
	case 'f':
		w.put(w.shorten("False"))
		w.in.literal()
	case 'n':
		w.put(w.shorten("None"))
		w.in.literal()
	default:
		w.put(w.shorten(pythonNumber(json.Number(w.in.literal()))))
	}
}

func (w *reprWriter) container(opening, closing byte) {
	if w.level >= maxReprLevel {
		w.put(w.shorten(string(opening) + "..." + string(closing)))
		w.in.value()
		return
	}
	w.put(string(opening))
	w.in.take(opening)
	w.level++
	for first := true; !w.full && w.in.next() != closing; first = false {
		if !first {
			w.in.take(',')
			w.put(", ")
		}
		if opening == '{' {
			w.value() // the name
			w.in.take(':')
			w.put(": ")
		}
		w.value()
	}
	w.level--
	if w.full {
		w.text.WriteByte(closing)
		return
	}
	w.in.take(closing)
	w.put(string(closing))
}

func (w *reprWriter) quote(s string) string {
	return "'" + strings.ReplaceAll(w.shorten(s), "'", `\'`) + "'"
}

// shorten cuts a text that is longer than the space that is left, at a blank if it has one.
func (w *reprWriter) shorten(s string) string {
	if w.left <= 0 || utf8.RuneCountInString(s) < w.left {
		return s
	}
	s = string([]rune(s)[:w.left])
	if i := strings.LastIndexByte(s, ' '); i >= 0 {
		s = s[:i]
	}
	return s + "..."
}

// pythonNumber returns Python's str() of the number that Python decodes: an int if it has no point and no exponent,
// else a float.
func pythonNumber(n json.Number) string {
	text := n.String()
	if !strings.ContainsAny(text, ".eE") {
		if text == "-0" {
			return "0"
		}
		return text
	}
	f, _ := n.Float64() // infinite when out of range, as in Python
	if math.IsInf(f, 0) {
		return strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'g', -1, 64), "+"))
	}
	if size := math.Abs(f); f != 0 && (size < 1e-4 || size >= 1e16) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	text = strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
