package main

import (
	"time"
)

// instant is a time on the command line: RFC 3339, or a duration before now ("90m").
type instant struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *instant) UnmarshalText(text []byte) error {
	if ago, err := time.ParseDuration(string(text)); err == nil {
		i.Time = time.Now().Add(-ago)
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return usage("%q: want a time as in 2026-03-01T09:30:00Z, or how long ago as in 90m", text)
	}
	i.Time = at
	return nil
}
