package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
)

// DefaultRedBeatPrefix is the prefix of RedBeat's keys unless redbeat_key_prefix sets another.
const DefaultRedBeatPrefix = "redbeat:"

const redBeatPage = 500

// RedBeatOptions say what RedBeat's keys do not contain. Without an application it is not known where a task without a
// queue goes, or how a time in its arguments is written.
type RedBeatOptions struct {
	Prefix      string       // of RedBeat's keys
	Application *Application // nil when not known
	Timezone    string       // of crontabs, which RedBeat stores without a zone; empty when not known
}

// ReadRedBeat reads all of RedBeat's entries, and changes nothing. It returns an error when the entries together are
// too large.
func ReadRedBeat(ctx context.Context, client redis.UniversalClient, options RedBeatOptions) (entries []Entry,
	err error,
) {
	keys, err := redBeatKeys(ctx, client, options.Prefix+":schedule")
	if err != nil {
		return nil, fmt.Errorf("read RedBeat: %w", err)
	}
	var kept budget
	for page := range slices.Chunk(keys, redBeatPage) {
		if err := measure(ctx, client, page, &kept); err != nil {
			return nil, fmt.Errorf("read RedBeat: %w", err)
		}
		hashes, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, key := range page {
				p.HMGet(ctx, key, "definition", "meta")
			}
			return nil
		})
		if err != nil && !ofAnotherType(err) {
			return nil, fmt.Errorf("read RedBeat: %w", err)
		}
		for i, hash := range hashes {
			name := strings.TrimPrefix(page[i], options.Prefix)
			fields, err := hash.(*redis.SliceCmd).Result()
			if ofAnotherType(err) {
				e := Entry{Definition: domain.Definition{Name: name}}
				e.refuse("orphaned: the key %q of RedBeat's set is not a hash, so RedBeat cannot read it: remove it "+
					"from the set (ZREM)", page[i])
				entries = append(entries, e)
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("read RedBeat: %w", err)
			}
			definition, _ := fields[0].(string) // absent fields are nil
			meta, _ := fields[1].(string)
			entries = append(entries, options.entry(name, definition, meta))
		}
	}
	return entries, nil
}

// ofAnotherType reports whether Redis refused a command, for one key or for several, because a key is not a hash.
func ofAnotherType(err error) bool { return err != nil && redis.HasErrorPrefix(err, "WRONGTYPE") }

// redBeatKeys reads RedBeat's set with one command, because an entry that runs meanwhile moves within the set.
func redBeatKeys(ctx context.Context, client redis.UniversalClient, set string) ([]string, error) {
	bytes, err := client.MemoryUsage(ctx, set, 0).Result()
	switch {
	case errors.Is(err, redis.Nil):
		return nil, nil
	case err != nil:
		return nil, err
	case bytes > maxKept:
		return nil, fmt.Errorf("%s has %d MiB: at most %d are read", set, bytes>>20, maxKept>>20)
	}
	return client.ZRange(ctx, set, 0, -1).Result()
}

// measure adds the lengths of entries to kept before they are read.
func measure(ctx context.Context, client redis.UniversalClient, keys []string, kept *budget) error {
	lengths, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			p.Do(ctx, "hstrlen", key, "definition")
			p.Do(ctx, "hstrlen", key, "meta")
		}
		return nil
	})
	if err != nil && !ofAnotherType(err) {
		return err
	}
	for _, length := range lengths {
		n, err := length.(*redis.Cmd).Int()
		if ofAnotherType(err) {
			err = nil // the entry is refused when it is read
		}
		if err == nil {
			err = kept.keep(n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// redBeatDefinition is the JSON that RedBeat stores for an entry.
type redBeatDefinition struct {
	Name     redBeatName                `json:"name"`
	Task     string                     `json:"task"`
	Args     json.RawMessage            `json:"args"`
	Kwargs   json.RawMessage            `json:"kwargs"`
	Options  map[string]json.RawMessage `json:"options"`
	Schedule beatSchedule               `json:"schedule"`
	Enabled  *bool                      `json:"enabled"`
}

// redBeatName is a text, or a number if the program that created the entry used one.
type redBeatName string

// UnmarshalJSON keeps the digits of a number as they are written.
func (n *redBeatName) UnmarshalJSON(raw []byte) error {
	var number json.Number
	if json.Unmarshal(raw, &number) == nil && number != "" {
		*n = redBeatName(number)
		return nil
	}
	return json.Unmarshal(raw, (*string)(n))
}

func (o RedBeatOptions) entry(name, definition, meta string) Entry {
	e := Entry{Definition: domain.Definition{Name: name}}
	if definition == "" {
		e.refuse("orphaned: it is in RedBeat's set, but its hash has no definition, so RedBeat skips it: remove it " +
			"from the set (ZREM)")
		return e
	}
	if strings.HasPrefix(definition, "\ufeff") {
		e.refuse("json_invalid at /definition: it begins with a byte-order mark, which RedBeat cannot read either: " +
			"write it without")
		return e
	}
	var b redBeatDefinition
	if err := json.Unmarshal([]byte(definition), &b); err != nil {
		e.refuse("json_invalid at /definition: %v", err)
		return e
	}
	e.LastRun = lastRun(meta)
	e.Definition = domain.Definition{Name: string(b.Name), TaskName: b.Task, Enabled: b.Enabled}
	b.Schedule.into(&e, e.LastRun)
	if b.Schedule.Relative {
		e.differ("instants", "it stays on round times of the application's zone, but is imported with those of UTC: "+
			"set interval_anchor by hand")
	}
	o.arguments(&e, b)
	for _, option := range sortedKeys(b.Options) {
		if !carry(&e, option, b.Options[option]) {
			e.differ("options", fmt.Sprintf("the option %s (%s) is not imported", option, b.Options[option]))
		}
	}
	o.route(&e)
	if e.clocks = o.Timezone; o.Application != nil {
		e.celery = o.Application.Celery
	}
	if e.Definition.CronExpression != "" {
		e.Definition.Timezone = o.Timezone
		switch {
		case o.Timezone != "":
		case o.Application != nil:
			e.differ("zone", "RedBeat keeps no time zone, and "+zoneFault(o.Application.Timezone))
		default:
			e.differ("zone", "RedBeat keeps no time zone: name the application's zone by --celery-timezone, or give "+
				"--application")
		}
	}
	return e
}

// route sends an entry without a queue where the application would send its task.
func (o RedBeatOptions) route(e *Entry) {
	unknown, named := "only the application knows where its task goes: give --application", e.Definition.Queue != "" ||
		e.Definition.Task().Through()
	if o.Application != nil {
		if unknown = o.Application.Route(e); unknown == "" {
			unknown = o.Application.looksAtArguments(e.Definition)
		}
	}
	if unknown != "" && !named {
		e.differ("queue", "it names no queue, and "+unknown)
	}
}

// arguments sets the arguments of an entry. Times, which RedBeat stores as its own objects, are written as Celery's
// beat sends them.
func (o RedBeatOptions) arguments(e *Entry, b redBeatDefinition) {
	typed, times := o.Application != nil && o.Application.Typed, 0
	write := func(at time.Time) json.RawMessage { times++; return timeText(at, typed) }
	for _, part := range []struct {
		field string
		from  json.RawMessage
		into  *json.RawMessage
	}{{"/args", b.Args, &e.Definition.Args}, {"/kwargs", b.Kwargs, &e.Definition.Kwargs}} {
		text, err := replaceTimes(part.from, write)
		if err != nil {
			e.refuse("args_unreadable at %s: %v", part.field, err)
		}
		*part.into = text
	}
	if times > 0 && o.Application == nil {
		e.differ("args", "it has times in its arguments, which Celery sends as texts before version 5.3 and as "+
			"typed values since: tactus will send texts; give --application")
	}
}

// carry imports an option of apply_async. It returns false when tactus has nothing that does the same.
func carry(e *Entry, name string, raw json.RawMessage) bool {
	d := &e.Definition
	if string(raw) == "null" {
		return true
	}
	into := map[string]any{
		"queue": &d.Queue, "exchange": &d.Exchange, "routing_key": &d.RoutingKey, "priority": &d.Priority,
		"headers":       &d.Headers,
		"ignore_result": &d.IgnoreResult, "shadow": &d.Shadow,
	}[name]
	if into != nil {
		return json.Unmarshal(raw, into) == nil
	}
	seconds := map[string]*int64{
		"expires": &d.ExpiresSeconds, "time_limit": &d.TimeLimitSeconds,
		"soft_time_limit": &d.SoftTimeLimitSeconds,
	}[name]
	var value float64
	if seconds == nil || json.Unmarshal(raw, &value) != nil || value < 0 {
		return false
	}
	kind := "limits"
	if name == "expires" {
		kind = "expires"
	}
	if *seconds = wholeSeconds(value); float64(*seconds) != value {
		e.differ(kind, fmt.Sprintf("%s: Celery's beat sends %g s, tactus %d s", name, value, *seconds))
	}
	return true
}

// redBeatTime is a time in RedBeat's JSON. Its zone is a name, or an offset in seconds.
type redBeatTime struct {
	Year, Month, Day, Hour, Minute, Second, Microsecond int
	Timezone                                            any
}

func (t redBeatTime) time() time.Time {
	location := time.UTC
	switch in := t.Timezone.(type) {
	case float64:
		location = time.FixedZone("", int(in))
	case string:
		if loaded := locationOf(in); loaded != nil {
			location = loaded
		}
	}
	return time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, t.Microsecond*1000, location)
}

// lastRun returns the last run that RedBeat has noted for an entry, or zero when it never ran.
func lastRun(meta string) time.Time {
	if note := noted(meta); note != nil {
		return note.time()
	}
	return time.Time{}
}

// noted returns the last run that RedBeat has noted for an entry, as it is written, or nil when it never ran.
func noted(meta string) *redBeatTime {
	var all struct {
		LastRunAt *redBeatTime `json:"last_run_at"`
	}
	if json.Unmarshal([]byte(meta), &all) != nil {
		return nil
	}
	return all.LastRunAt
}
