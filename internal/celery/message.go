package celery

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/tactus-dev/tactus/domain"
)

// envelope returns the message in Redis. The order of its members is fixed, so that the same run always makes the same
// bytes. It is put together as text: package json would read and copy all headers once more, a seventh of what a relay
// does for a run. body is in base64, which needs no escapes.
func envelope(body string, headers json.RawMessage, p properties) ([]byte, error) {
	last, err := encode(p)
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte(`{"body":"`), []byte(body), []byte(`","content-type":"application/json",`+
		`"content-encoding":"utf-8","headers":`), headers, []byte(`,"properties":`), last, []byte(`}`)), nil
}

// headers are what the worker reads. A nil pointer becomes null; members that tactus has no use for are always null.
type headers struct {
	Lang                string    `json:"lang"`
	Task                string    `json:"task"`
	ID                  domain.ID `json:"id"`
	Shadow              *string   `json:"shadow"`
	ETA                 *string   `json:"eta"`
	Expires             *string   `json:"expires"`
	Group               *string   `json:"group"`
	GroupIndex          *int      `json:"group_index"`
	Retries             int       `json:"retries"`
	TimeLimit           [2]*int64 `json:"timelimit"` // hard, soft
	RootID              domain.ID `json:"root_id"`
	ParentID            *string   `json:"parent_id"`
	ArgsRepr            string    `json:"argsrepr"`
	KwargsRepr          string    `json:"kwargsrepr"`
	Origin              string    `json:"origin"`
	IgnoreResult        bool      `json:"ignore_result"`
	ReplacedTaskNesting int       `json:"replaced_task_nesting"`
	StampedHeaders      []string  `json:"stamped_headers"`
	Stamps              struct{}  `json:"stamps"`
	PeriodicTaskName    string    `json:"periodic_task_name,omitempty"` // where django-celery-beat has it since 2.9
	ScheduleID          domain.ID `json:"x-tactus-schedule-id"`
	DueAt               string    `json:"x-tactus-due-at"`
	RunID               domain.ID `json:"x-tactus-run-id"`
	TraceParent         string    `json:"traceparent,omitempty"` // where OpenTelemetry's instrumentation of Celery reads it
}

// properties are what the transport reads.
type properties struct {
	CorrelationID    domain.ID    `json:"correlation_id"`
	ReplyTo          string       `json:"reply_to"`                     // always empty: nobody waits for an answer
	PeriodicTaskName string       `json:"periodic_task_name,omitempty"` // where django-celery-beat 2.4 has it
	DeliveryMode     int          `json:"delivery_mode"`
	Expiration       string       `json:"expiration,omitempty"` // milliseconds
	DeliveryInfo     deliveryInfo `json:"delivery_info"`
	Priority         int          `json:"priority"`
	BodyEncoding     string       `json:"body_encoding"`
	DeliveryTag      string       `json:"delivery_tag"`
}

// deliveryInfo says where the message goes back to when its worker dies: to the queue named as the routing key.
type deliveryInfo struct {
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

const persistent = 2 // delivery mode

// with returns the headers as JSON, with the task's own headers added in the order of their names.
func (h headers) with(own map[string]json.RawMessage) (json.RawMessage, error) {
	text, err := encode(h)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSuffix(text, []byte("}"))
	for _, name := range slices.Sorted(maps.Keys(own)) {
		quoted, err := encode(name)
		if err != nil {
			return nil, err
		}
		value, err := encode(own[name])
		if err != nil {
			return nil, err
		}
		text = slices.Concat(text, []byte(","), quoted, []byte(":"), value)
	}
	return append(text, '}'), nil
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
