package celery

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"github.com/tactus-dev/tactus/domain"
)

// A message is put together as text: package json would take half of what a relay does for a run. The order of members
// is fixed, so that the same run always makes the same bytes.

// envelope returns the beginning of a message, up to its headers, with room for so many bytes behind it. body goes in
// base64.
func envelope(body []byte, room int) []byte {
	const around = 128
	text := make([]byte, 0, base64.StdEncoding.EncodedLen(len(body))+around+room)
	text = base64.StdEncoding.AppendEncode(append(text, `{"body":"`...), body)
	return append(text, `","content-type":"application/json","content-encoding":"utf-8","headers":`...)
}

// finish ends a message, behind its headers.
func finish(text []byte, p properties) []byte {
	return append(p.append(append(text, `,"properties":`...)), '}')
}

// headers are what the worker reads, but for members that tactus has no use for, which are always null.
type headers struct {
	shadow      string // null when empty
	expires     *string
	timeLimit   [2]*int64 // hard, soft
	argsRepr    string
	kwargsRepr  string
	origin      string
	run         *domain.DueRun
	name        *string // of the schedule; none when nil
	traceParent string  // where OpenTelemetry's instrumentation of Celery reads it
}

// append appends the headers as JSON, with the task's own headers added in the order of their names.
func (h headers) append(to []byte, own map[string]json.RawMessage) (_ []byte, err error) {
	to = appendString(append(to, `{"lang":"py","task":`...), h.run.TaskName)
	to = appendID(append(to, `,"id":"`...), h.run.RunID)
	to = append(to, `","shadow":`...)
	if h.shadow == "" {
		to = append(to, "null"...)
	} else {
		to = appendString(to, h.shadow)
	}
	to = append(to, `,"eta":null,"expires":`...)
	if h.expires == nil {
		to = append(to, "null"...)
	} else {
		to = appendString(to, *h.expires)
	}
	to = appendLimit(append(to, `,"group":null,"group_index":null,"retries":0,"timelimit":[`...), h.timeLimit[0])
	to = appendLimit(append(to, ','), h.timeLimit[1])
	to = appendID(append(to, `],"root_id":"`...), h.run.RunID)
	to = appendString(append(to, `","parent_id":null,"argsrepr":`...), h.argsRepr)
	to = appendString(append(to, `,"kwargsrepr":`...), h.kwargsRepr)
	to = appendString(append(to, `,"origin":`...), h.origin)
	to = strconv.AppendBool(append(to, `,"ignore_result":`...), h.run.IgnoreResult)
	to = append(to, `,"replaced_task_nesting":0,"stamped_headers":null,"stamps":{}`...)
	to = appendPeriodicTaskName(to, h.name) // where django-celery-beat has it since 2.9
	to = appendID(append(to, `,"x-tactus-schedule-id":"`...), h.run.ScheduleID)
	to = appendString(append(to, `","x-tactus-due-at":`...), isoTime(h.run.DueAt))
	to = appendID(append(to, `,"x-tactus-run-id":"`...), h.run.RunID)
	to = append(to, '"')
	if h.traceParent != "" {
		to = appendString(append(to, `,"traceparent":`...), h.traceParent)
	}
	if len(own) == 0 {
		return append(to, '}'), nil
	}
	for _, name := range slices.Sorted(maps.Keys(own)) {
		value, err := encode(own[name])
		if err != nil {
			return nil, err
		}
		to = append(append(appendString(append(to, ','), name), ':'), value...)
	}
	return append(to, '}'), nil
}

// properties are what the transport reads.
type properties struct {
	correlationID domain.ID
	name          *string // of the schedule; none when nil
	expiration    string  // milliseconds; none when empty
	exchange      string
	routingKey    string // the queue to which the message goes back when its worker dies
	priority      int
	deliveryTag   string
}

// append appends the properties as JSON. reply_to is always empty: nobody waits for an answer.
func (p properties) append(to []byte) []byte {
	to = appendID(append(to, `{"correlation_id":"`...), p.correlationID)
	to = append(to, `","reply_to":""`...)
	to = appendPeriodicTaskName(to, p.name) // where django-celery-beat 2.4 has it
	to = append(to, `,"delivery_mode":`+persistent...)
	if p.expiration != "" {
		to = appendString(append(to, `,"expiration":`...), p.expiration)
	}
	to = appendString(append(to, `,"delivery_info":{"exchange":`...), p.exchange)
	to = appendString(append(to, `,"routing_key":`...), p.routingKey)
	to = strconv.AppendInt(append(to, `},"priority":`...), int64(p.priority), 10)
	to = appendString(append(to, `,"body_encoding":"base64","delivery_tag":`...), p.deliveryTag)
	return append(to, '}')
}

const persistent = "2" // delivery mode

const nameHeader = "periodic_task_name"

func appendPeriodicTaskName(to []byte, schedule *string) []byte {
	if schedule == nil {
		return to
	}
	return appendString(append(to, `,"`+nameHeader+`":`...), *schedule)
}

func appendID(to []byte, id domain.ID) []byte {
	to, _ = id.AppendText(to) // never fails
	return to
}

// appendLimit appends a time limit; null when there is none.
func appendLimit(to []byte, limit *int64) []byte {
	if limit == nil {
		return append(to, "null"...)
	}
	return strconv.AppendInt(to, *limit, 10)
}

// appendString appends a text as JSON, as package json writes it.
func appendString(to []byte, text string) []byte {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := encode(text) // never fails for a text
			return append(to, quoted...)
		}
	}
	return append(append(append(to, '"'), text...), '"')
}

// encode is json.Marshal without the escapes for HTML.
func encode(value any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
