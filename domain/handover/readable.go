package handover

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// The limits of Python's JSON decoder, which Go does not have. Beyond them a worker drops the message, or ends.
const (
	maxDepth  = 100  // Python's recursion limit is 1,000, and callers use a part of it: 500 levels end a worker
	maxDigits = 4300 // in an integer: sys.int_info.default_max_str_digits
)

// unreadable returns why Python could not decode a JSON value; "" when it can.
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

// extent returns the depth of nesting of a valid JSON value, and the length of its longest run of digits outside
// strings.
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

// namesType reports whether any object in a valid JSON value has the member __type__.
func namesType(raw []byte) bool {
	if !bytes.ContainsRune(raw, '{') {
		return false
	}
	for d := json.NewDecoder(bytes.NewReader(raw)); ; {
		d.UseNumber() // otherwise a large number would be an error
		token, err := d.Token()
		if err != nil {
			return false // the end, because the value is valid
		}
		if token == "__type__" { // matches a string value too: to refuse that as well does no harm
			return true
		}
	}
}
