package celery

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Encode returns the message that asks a worker to run a task, and the message's address. deliveryTag is a new UUID for
// each delivery: workers keep unacknowledged messages under it. If the task is at fault, [domain.FaultsOf] returns the
// faults from the error.
func Encode(run domain.DueRun, deliveryTag string, cfg Config) (to Address, text []byte, err error) {
	if deliveryTag == "" {
		return to, nil, errors.New("encode a run: no delivery tag")
	}
	cfg = cfg.withDefaults()
	run.Args, run.Kwargs = orElse(run.Args, "[]"), orElse(run.Kwargs, "{}")
	name := takeName(&run)
	if err := cfg.limits().CheckMessage(run.Task); err != nil {
		return to, nil, err
	}
	expires, err := expiry(run)
	if err != nil {
		return to, nil, err
	}
	priority := 0
	if run.Priority != nil {
		priority = *run.Priority
	}
	to, routingKey := cfg.address(run.Task, priority, deliveryTag)
	const most = 1600 // of what is not the task's
	body := body(run.Task)
	text, err = headersOf(&run, name, expires, cfg).append(envelope(body, 2*min(len(body), maxRepr)+most), run.Headers)
	if err != nil {
		return Address{}, nil, fmt.Errorf("encode headers: %w", err)
	}
	return to, finish(text, properties{
		correlationID: run.RunID, name: name, expiration: expiration(run.Task), routingKey: routingKey,
		priority: priority, deliveryTag: deliveryTag,
	}), nil
}

func orElse(raw json.RawMessage, empty string) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage(empty)
	}
	return raw
}

// takeName takes the name that the message is to give its schedule out of the run: that of an adopted row, where the
// schedule has another one (tactus.adopted_own_name), or that of the schedule; nil when it has none.
func takeName(run *domain.DueRun) *string {
	var own *string
	if json.Unmarshal(run.Headers[nameHeader], &own) == nil && own != nil {
		run.Headers = maps.Clone(run.Headers)
		delete(run.Headers, nameHeader)
		return own
	}
	if run.ScheduleName == "" {
		return nil
	}
	return &run.ScheduleName
}

func headersOf(run *domain.DueRun, name, expires *string, cfg Config) headers {
	return headers{
		run: run, name: name, shadow: run.Shadow, expires: expires, origin: cfg.Origin, traceParent: run.TraceParent,
		timeLimit: [2]*int64{unlessZero(run.TimeLimitSeconds), unlessZero(run.SoftTimeLimitSeconds)},
		argsRepr:  argsRepr(run.Args), kwargsRepr: safeRepr(run.Kwargs),
	}
}

func unlessZero[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// noCallbacks is the third item of a body: what to do after the task, which is nothing.
const noCallbacks = `{"callbacks":null,"errbacks":null,"chain":null,"chord":null}`

// body returns the body of a message, which goes in base64. It copies args and kwargs byte by byte.
func body(task domain.Task) []byte {
	return slices.Concat([]byte("["), task.Args, []byte(","), task.Kwargs, []byte(","+noCallbacks+"]"))
}

// isoTime formats a time with exactly six fraction digits: Celery 5.2 silently drops a message whose times have more.
func isoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000-07:00") }

// lastSecond is the last second of the year 9999, after which Python has no times.
var lastSecond = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()

// expiry returns the time after which a worker no longer runs the task; nil if there is none. Like Celery's own beat,
// it counts from the handing over, so a run that comes late (jitter, an unfinished run before it, an outage) has as
// much time as any other.
func expiry(run domain.DueRun) (*string, error) {
	if run.ExpiresSeconds == 0 {
		return nil, nil
	}
	if run.ExpiresSeconds < 0 || run.ExpiresSeconds > lastSecond-run.HandedOver.Unix() {
		return nil, fault("out_of_range", "/expires_seconds",
			"%d: want a time after the handing over and before the year 10000", run.ExpiresSeconds)
	}
	at := isoTime(time.Unix(run.HandedOver.Unix()+run.ExpiresSeconds, int64(run.HandedOver.Nanosecond())))
	return &at, nil
}

// expiration returns the same for brokers: relative, in milliseconds.
func expiration(task domain.Task) string {
	if task.ExpiresSeconds == 0 {
		return ""
	}
	return strconv.FormatInt(task.ExpiresSeconds*1000, 10)
}

func fault(code, field, format string, args ...any) *domain.Error {
	return &domain.Error{Kind: domain.Invalid, Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}
