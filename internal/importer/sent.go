package importer

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/tactus-dev/tactus/domain"
	wire "github.com/tactus-dev/tactus/internal/celery"
)

// sent is a message that Celery's beat would send, as far as it matters to a worker. Args and kwargs are JSON as in the
// body of the message.
type sent struct {
	Queue         *string                    `json:"queue"`
	Exchange      string                     `json:"exchange"`
	RoutingKey    string                     `json:"routing_key"`
	Args          string                     `json:"args"`
	Kwargs        string                     `json:"kwargs"`
	Priority      *int                       `json:"priority"`
	Expires       *float64                   `json:"expires"`
	TimeLimit     *float64                   `json:"time_limit"`
	SoftTimeLimit *float64                   `json:"soft_time_limit"`
	IgnoreResult  bool                       `json:"ignore_result"`
	Shadow        *string                    `json:"shadow"`
	Headers       map[string]json.RawMessage `json:"headers"`
	Routed        *destination               `json:"routed"` // nil when no more is named than the queue
}

// destination is what options or a route name of where a message goes. What they leave out is empty.
type destination struct {
	Queue      string `json:"queue"`
	Exchange   string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
}

// into copies everything of the message to a definition. It names the queue even if that is Celery's default one, which
// may differ from tactus'. An option that the message does not have is none, even if a route has it.
func (s sent) into(d *domain.Definition) {
	s.route(d)
	d.IgnoreRoutes = true
	d.Args, d.Kwargs = json.RawMessage(s.Args), json.RawMessage(s.Kwargs)
	d.Headers = s.Headers
}

// route copies where the message goes, and its limits, to the members that a definition does not set.
func (s sent) route(d *domain.Definition) {
	if d.Queue == "" && !d.Task().Through() {
		if s.Queue != nil {
			d.Queue = *s.Queue
		}
		d.Exchange, d.RoutingKey = cmp.Or(d.Exchange, s.Exchange), cmp.Or(d.RoutingKey, s.RoutingKey)
	}
	if d.Priority == nil {
		d.Priority = s.Priority
	}
	for _, limit := range []struct {
		into *int64
		from *float64
	}{{&d.ExpiresSeconds, s.Expires}, {&d.TimeLimitSeconds, s.TimeLimit}, {&d.SoftTimeLimitSeconds, s.SoftTimeLimit}} {
		if *limit.into == 0 && limit.from != nil {
			*limit.into = wholeSeconds(*limit.from)
		}
	}
	d.IgnoreResult = d.IgnoreResult || s.IgnoreResult
	if d.Shadow == "" && s.Shadow != nil {
		d.Shadow = *s.Shadow
	}
}

// wholeSeconds rounds up, so that a task is not ended before its time.
func wholeSeconds(seconds float64) int64 { return int64(math.Ceil(seconds)) }

// differences compares the message with the one that tactus would hand over for a definition. Each difference has a
// kind.
func (s sent) differences(d domain.Definition, differ func(kind, message string)) {
	ours, err := sentBy(d.Name, d.Task(), wire.Config{})
	if err != nil {
		differ("args", fmt.Sprintf("tactus cannot send it: %v", err))
		return
	}
	s.compare(ours, differ)
}

// compare reports the parts in which our message differs from Celery's.
func (s sent) compare(ours sent, differ func(kind, message string)) {
	for _, p := range s.parts(ours) {
		if p.theirs != p.ours {
			differ(p.kind, fmt.Sprintf("%s: Celery's beat sends %s, tactus %s", p.name, p.theirs, p.ours))
		}
	}
}

// aspect is a part of two messages, in words.
type aspect struct{ kind, name, theirs, ours string }

// parts returns the parts of the message beside those of ours.
func (s sent) parts(ours sent) []aspect {
	return []aspect{
		{"queue", "queue", text(s.Queue), text(ours.Queue)},
		{"exchange", "exchange", s.through(), ours.through()},
		{"args", "args", compact(s.Args), compact(ours.Args)},
		{"args", "kwargs", compact(s.Kwargs), compact(ours.Kwargs)},
		{"priority", "priority", step(s.Priority), step(ours.Priority)},
		{"expires", "expires", duration(s.Expires), duration(ours.Expires)},
		{"limits", "time limit", duration(s.TimeLimit), duration(ours.TimeLimit)},
		{"limits", "soft time limit", duration(s.SoftTimeLimit), duration(ours.SoftTimeLimit)},
		{"ignore_result", "ignore_result", strconv.FormatBool(s.IgnoreResult), strconv.FormatBool(ours.IgnoreResult)},
		{"shadow", "shadow", text(s.Shadow), text(ours.Shadow)},
		{"headers", "headers", encoded(s.Headers), encoded(ours.Headers)},
	}
}

// sentBy returns the message that tactus would hand over for a schedule's task, parsed as a worker does.
func sentBy(name string, task domain.Task, cfg wire.Config) (s sent, err error) {
	to, raw, err := wire.Encode(domain.DueRun{ScheduleName: name, DueAt: time.Unix(0, 0), Task: task}, "tag", cfg)
	if err != nil {
		return s, err
	}
	var message struct {
		Body       string                     `json:"body"`
		Headers    map[string]json.RawMessage `json:"headers"`
		Properties struct {
			Priority   *int   `json:"priority"`
			Expiration string `json:"expiration"`
		} `json:"properties"`
	}
	if err := json.Unmarshal(raw, &message); err != nil {
		return s, err
	}
	body, err := base64.StdEncoding.DecodeString(message.Body)
	if err != nil {
		return s, err
	}
	var parts []json.RawMessage
	var limits [2]*float64
	if err := json.Unmarshal(body, &parts); err != nil {
		return s, err
	}
	if err := json.Unmarshal(message.Headers["timelimit"], &limits); err != nil {
		return s, err
	}
	queue := cfg.QueueOf(to.Key)
	if x := to.Through; x != nil {
		queue, s.Exchange, s.RoutingKey = x.Queue, x.Name, x.RoutingKey
	}
	if queue != "" {
		s.Queue = &queue
	}
	s.Args, s.Kwargs, s.Priority, s.TimeLimit, s.SoftTimeLimit = string(parts[0]), string(parts[1]),
		message.Properties.Priority, limits[0], limits[1]
	if milliseconds, err := strconv.ParseFloat(message.Properties.Expiration, 64); err == nil {
		seconds := milliseconds / 1000
		s.Expires = &seconds
	}
	s.IgnoreResult = string(message.Headers["ignore_result"]) == "true"
	_ = json.Unmarshal(message.Headers["shadow"], &s.Shadow) // a text or null
	s.Headers = map[string]json.RawMessage{}
	for name := range task.Headers {
		s.Headers[name] = message.Headers[name]
	}
	return s, nil
}

// through returns the exchange and the routing key, except where they are those by which each queue is reached.
func (s sent) through() string {
	if s.Queue != nil && s.Exchange == *s.Queue && s.RoutingKey == *s.Queue {
		return "/"
	}
	return s.Exchange + "/" + s.RoutingKey
}

func text(t *string) string {
	if t == nil {
		return "none"
	}
	return *t
}

// step returns a priority as kombu reads it: an absent one is 0, the highest.
func step(priority *int) string {
	if priority == nil {
		return "0"
	}
	return strconv.Itoa(*priority)
}

func duration(n *float64) string {
	if n == nil {
		return "none"
	}
	return strconv.FormatFloat(*n, 'g', -1, 64) + " s"
}

// compact removes the spaces between the parts of JSON. It returns any other text unchanged.
func compact(raw string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(raw)) != nil {
		return raw
	}
	return b.String()
}

func encoded(headers map[string]json.RawMessage) string {
	if len(headers) == 0 {
		return "none"
	}
	raw, err := json.Marshal(headers)
	if err != nil {
		return err.Error()
	}
	return compact(string(raw))
}
