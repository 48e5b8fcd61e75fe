package main

import (
	"encoding"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// All commands share one grammar for times and durations. A time is in RFC 3339, the same without an offset, a day, or
// a duration: before now if the flag is about the past, after now if it is about the future. A duration is 90m, 1h30m,
// 30d or 2w.

// layouts are the layouts of times without an offset, and of days.
var layouts = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly}

func noTime(text string) error {
	return usage("%q: want a time as in 2026-03-01T09:30:00Z or 2026-03-01T09:30, a day as in 2026-03-01, or a length of "+
		"time as in 90m, 48h or 30d", text)
}

// readTime parses a time of the grammar. A time without an offset is in the zone. A duration counts from now, in the
// direction of its sign, or without a sign in that of toward.
func readTime(text string, toward time.Duration, zone *time.Location) (time.Time, error) {
	if length, err := parseLength(text); err == nil {
		if !strings.HasPrefix(text, "+") && !strings.HasPrefix(text, "-") {
			length *= toward
		}
		return time.Now().Add(length), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, layout := range layouts {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at, nil
		}
	}
	return time.Time{}, noTime(text)
}

const (
	back  = time.Duration(-1)
	ahead = time.Duration(1)
)

// instant is a time on the command line. A duration lies in the past; a time without an offset is in this machine's
// zone.
type instant struct{ time.Time }

// UnmarshalText implements encoding.TextUnmarshaler.
func (i *instant) UnmarshalText(text []byte) (err error) {
	i.Time, err = readTime(string(text), back, time.Local)
	return err
}

// pastTime and comingTime are times on the command line as the API reads them: without an offset they are in the zone
// of the schedule.
type (
	pastTime   string
	comingTime string
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *pastTime) UnmarshalText(text []byte) error {
	said, err := timeText(string(text), back)
	*t = pastTime(said)
	return err
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *comingTime) UnmarshalText(text []byte) error {
	said, err := timeText(string(text), ahead)
	*t = comingTime(said)
	return err
}

// timeText returns a time in the form that the API reads. An empty text stays empty, and removes a time.
func timeText(text string, toward time.Duration) (string, error) {
	if text == "" {
		return "", nil
	}
	at, err := readTime(text, toward, time.UTC)
	if err != nil {
		return "", err
	}
	if _, err := parseLength(text); err == nil {
		return at.UTC().Format(time.RFC3339), nil
	}
	if _, err := time.Parse(time.DateOnly, text); err == nil {
		return text + "T00:00", nil
	}
	return text, nil
}

// inSeconds is a duration that the API takes as a number of seconds. It may also be given as such a number.
type inSeconds float64

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *inSeconds) UnmarshalText(text []byte) error {
	if number, err := strconv.ParseFloat(string(text), 64); err == nil && !math.IsInf(number, 0) && !math.IsNaN(number) {
		*s = inSeconds(number)
		return nil
	}
	length, err := parseLength(string(text))
	if err != nil {
		return usage("%q: want a number of seconds, or a length of time as in 90s, 5m, 1h30m or 30d", text)
	}
	*s = inSeconds(length.Seconds())
	return nil
}

// durations makes kong parse every duration by this grammar.
var durations = kong.TypeMapper(reflect.TypeFor[time.Duration](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
	var text string
	if err := ctx.Scan.PopValueInto("duration", &text); err != nil {
		return err
	}
	length, err := parseLength(text)
	if err != nil {
		return err
	}
	target.SetInt(int64(length))
	return nil
}))

// pointed makes kong parse optional values by their UnmarshalText.
func pointed[T any, P interface {
	*T
	encoding.TextUnmarshaler
}]() kong.Option {
	return kong.TypeMapper(reflect.TypeFor[*T](), kong.MapperFunc(func(ctx *kong.DecodeContext, target reflect.Value) error {
		var text string
		if err := ctx.Scan.PopValueInto("value", &text); err != nil {
			return err
		}
		value := P(new(T))
		if err := value.UnmarshalText([]byte(text)); err != nil {
			return err
		}
		target.Set(reflect.ValueOf((*T)(value)))
		return nil
	}))
}

// units are the units that Go's durations lack.
var units = []struct {
	name string
	is   time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}}

// parseLength parses a duration. A day has 24 hours.
func parseLength(text string) (time.Duration, error) {
	fault := usage("%q: want a length of time with its unit, as in 90s, 5m, 1h30m, 30d or 2w", text)
	rest := strings.TrimPrefix(strings.TrimPrefix(text, "-"), "+")
	if rest == "" || rest[0] == '-' || rest[0] == '+' {
		return 0, fault
	}
	var sum float64
	for _, unit := range units {
		before, after, there := strings.Cut(rest, unit.name)
		if !there {
			continue
		}
		number, err := strconv.ParseUint(before, 10, 32)
		if err != nil {
			return 0, fault
		}
		sum, rest = sum+float64(number)*float64(unit.is), after
	}
	if rest != "" {
		length, err := time.ParseDuration(rest)
		if err != nil || length < 0 {
			return 0, fault
		}
		sum += float64(length)
	}
	if sum >= math.MaxInt64 {
		return 0, usage("%q is longer than 292 years", text)
	}
	length := time.Duration(sum)
	if text[0] == '-' {
		length = -length
	}
	return length, nil
}
