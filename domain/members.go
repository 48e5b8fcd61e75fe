package domain

import (
	"bytes"
	"encoding/json"
	"slices"
)

// Members returns the members of a JSON object, by name. Of those that no definition has it returns the first MaxFaults
// alone, because no more of them are told: a body may have a hundred thousand. The values are parts of raw. The error
// is Faults.
func Members(raw []byte) (map[string]json.RawMessage, error) { return object(raw) }

// members reads an object that is valid JSON.
func members(raw []byte) map[string]json.RawMessage {
	found, unknown := map[string]json.RawMessage{}, 0
	rest := raw[bytes.IndexByte(raw, '{')+1:]
	for {
		start := bytes.IndexByte(rest, '"')
		if start < 0 {
			return found
		}
		rest = rest[start:]
		end := valueEnd(rest)
		name := unquoted(rest[:end])
		rest = bytes.TrimLeft(rest[end:], space+":")
		end = valueEnd(rest)
		value := bytes.TrimRight(rest[:end], space)
		rest = rest[end:]
		if _, again := found[string(name)]; !again && !isMember(name) {
			if unknown++; unknown > MaxFaults {
				continue
			}
		}
		found[string(name)] = json.RawMessage(value)
	}
}

const space = " \t\r\n"

func isMember(name []byte) bool {
	_, known := fields[string(name)]
	return known || slices.Contains(readOnly, string(name))
}

// unquoted returns what a JSON string says.
func unquoted(quoted []byte) []byte {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return []byte(text)
}

// valueEnd returns where the value at the beginning of valid JSON ends.
func valueEnd(raw []byte) int {
	depth, inText := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inText:
			switch c {
			case '\\':
				i++
			case '"':
				if inText = false; depth == 0 {
					return i + 1
				}
			}
		case c == '"':
			inText = true
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1
			}
			if depth < 0 { // of what is around it
				return i
			}
		case c == ',' && depth == 0:
			return i
		}
	}
	return len(raw)
}
