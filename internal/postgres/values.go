package postgres

import "strings"

// OrNull returns a pointer to a value, or nil, which is null in SQL, for the zero value.
func OrNull[T comparable](value T) *T {
	var zero T
	if z, ok := any(value).(interface{ IsZero() bool }); value == zero || ok && z.IsZero() {
		return nil
	}
	return &value
}

// Storable returns a text as PostgreSQL can store it: valid UTF-8 without U+0000.
func Storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}
