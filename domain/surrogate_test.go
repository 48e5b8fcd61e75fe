package domain

import (
	"strings"
	"testing"
)

// TestHalfPair refuses half a surrogate pair in texts, as put_schedule does; documents may hold it.
func TestHalfPair(t *testing.T) {
	t.Parallel()
	for text, code := range map[string]string{
		`{"queue":"q\ud800"}`: "text_invalid", `{"queue":"\udc00\ud800"}`: "text_invalid", `{"tags":["\ud83dx"]}`: "text_invalid", `{"name":"\uD800"}`: "name_invalid",
		`{"queue":"q\ud83d\ude00"}`: "", `{"queue":"q\\ud800"}`: "", `{"kwargs":{"a":"\ud800"}}`: "",
	} {
		_, err := Decode([]byte(text))
		if (err == nil) != (code == "") || err != nil && !strings.Contains(err.Error(), code) {
			t.Errorf("%s: %v, want %q", text, err, code)
		}
	}
}
