package results

import (
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/internal/postgres"
)

// The most that is stored of an answer, in bytes.
const (
	maxResult    = 32 << 10
	maxHead      = 1 << 10 // the beginning of a result that is too long
	maxError     = 4 << 10
	maxTraceback = 32 << 10
	maxDepth     = 500 // how deeply a result may be nested; PostgreSQL reads a little more than ten times that
)

// clip keeps the beginning of a text, at most the given number of bytes.
func clip(s string, most int) string {
	if len(s) > most {
		for most > 0 && !utf8.RuneStart(s[most]) {
			most--
		}
		s = s[:most] + "…"
	}
	return postgres.Storable(s)
}

// clipFront keeps the end of a text, which is the most useful part of a traceback.
func clipFront(s string, most int) string {
	if from := len(s) - most; from > 0 {
		for from < len(s) && !utf8.RuneStart(s[from]) {
			from++
		}
		s = "…" + s[from:]
	}
	return postgres.Storable(s)
}

// clipJSON returns a value unchanged, or if it is too long or too deep, an object with its length and its beginning.
func clipJSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil
	}
	if len(raw) <= maxResult && depth(raw) <= maxDepth {
		return json.RawMessage(strings.ToValidUTF8(string(raw), "\ufffd"))
	}
	text, _ := json.Marshal(struct { // strings and numbers encode
		Truncated bool   `json:"truncated"`
		Bytes     int    `json:"bytes"`
		Head      string `json:"head"`
	}{true, len(raw), clip(string(raw), maxHead)})
	return text
}

// depth returns how deeply a JSON value is nested. Brackets in strings may make the result too large.
func depth(raw []byte) (deepest int) {
	var open int
	for _, c := range raw {
		switch c {
		case '[', '{':
			open++
			deepest = max(deepest, open)
		case ']', '}':
			open--
		}
	}
	return deepest
}
