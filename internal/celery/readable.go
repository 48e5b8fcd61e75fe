package celery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Python reads JSON with limits that Go does not have. Past them a worker drops the message, or ends.
const (
	maxDepth  = 100  // Python's recursion ends at 1,000, of which others have a part: 500 end a worker
	maxDigits = 4300 // of an integer: sys.int_info.default_max_str_digits
)

// unreadable says why Python would not read a JSON value; it is empty when it would.
func unreadable(raw []byte) string {
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return "this is not valid JSON in UTF-8"
	}
	depth, digits := extent(raw)
	if depth > maxDepth {
		return fmt.Sprintf("it is nested %d deep: workers read up to %d", depth, maxDepth)
	}
	if digits > maxDigits {
		return fmt.Sprintf("a number has %d digits: workers read up to %d", digits, maxDigits)
	}
	return ""
}

// extent measures valid JSON: how deep it is nested, and how long its longest run of digits is outside strings.
func extent(raw []byte) (deepest, longest int) {
	var depth, digits int
	var quoted, escaped bool
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '[' || c == '{':
			depth++
			deepest = max(deepest, depth)
		case c == ']' || c == '}':
			depth--
		}
		if quoted || c < '0' || c > '9' {
			digits = 0
			continue
		}
		digits++
		longest = max(longest, digits)
	}
	return deepest, longest
}

// namesType tells whether any object in a valid JSON value has the member __type__.
func namesType(raw []byte) bool {
	if !bytes.ContainsRune(raw, '{') {
		return false
	}
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		d.UseNumber() // any number will do
		token, err := d.Token()
		if err != nil {
			return false // the end: the value is valid
		}
		if token == "__type__" { // as a string it is refused too, which harms nobody
			return true
		}
	}
}
