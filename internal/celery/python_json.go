package celery

import (
	"encoding/json"
	"strings"
)

// unmarshal decodes JSON as Python writes it, with NaN, Infinity and -Infinity, which JSON does not have. They become
// strings of these names: a task that returned NaN has succeeded, and did not return None.
func unmarshal(text []byte, value any) error {
	err := json.Unmarshal(text, value)
	if err == nil || json.Valid(text) {
		return err
	}
	plain := quoteNaN(string(text))
	if plain == string(text) {
		return err
	}
	return json.Unmarshal([]byte(plain), value)
}

var notNumbers = []string{"NaN", "Infinity", "-Infinity"}

// quoteNaN puts quotes around these three words where they stand outside a string.
func quoteNaN(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		if end := stringEnd(text); end > 0 {
			b.WriteString(text[:end])
			text = text[end:]
			continue
		}
		n := 1
		for _, word := range notNumbers {
			if strings.HasPrefix(text, word) {
				n = len(word)
			}
		}
		if n > 1 {
			b.WriteString(`"` + text[:n] + `"`)
		} else {
			b.WriteByte(text[0])
		}
		text = text[n:]
	}
	return b.String()
}

// stringEnd returns the length of the JSON string that text begins with; 0 when text begins with something else.
func stringEnd(text string) int {
	if text[0] != '"' {
		return 0
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
