package domain

import (
	"encoding/json"
	"strconv"
	"unicode/utf16"
)

// halfPair reports whether JSON has half a surrogate pair in it. Go decodes it as U+FFFD, and PostgreSQL not at all.
func halfPair(raw json.RawMessage) bool {
	high := false // whether the escape before was a first half
	for i := 0; i < len(raw); i++ {
		unit := rune(0)
		if raw[i] == '\\' {
			if i++; i+4 < len(raw) && raw[i] == 'u' {
				n, _ := strconv.ParseUint(string(raw[i+1:i+5]), 16, 16)
				unit, i = rune(n), i+4
			}
		}
		low := utf16.IsSurrogate(unit) && unit >= 0xdc00
		if high != low {
			return true
		}
		high = utf16.IsSurrogate(unit) && !low
	}
	return false
}
