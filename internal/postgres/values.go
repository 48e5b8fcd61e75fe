package postgres

import (
	"strings"
	"time"
)

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

// OrZero returns a time of a column in UTC, and the zero time for null.
func OrZero(at *time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	return at.UTC()
}
