package tracing

import (
	"encoding/json"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/tactus-dev/tactus/beat"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/results"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

var (
	_ relay.Traces   = (*Traces)(nil)
	_ beat.Traces    = (*Traces)(nil)
	_ results.Traces = (*Traces)(nil)
)

// The names of spans. Those of events have the event's type behind them.
const (
	relaySpan  = "relay "
	syncSpan   = "sync "
	fireSpan   = "fire"
	handSpan   = "hand over"
	resultSpan = "result"
)

// Attributes, beside those of OpenTelemetry's conventions for messages.
const (
	scheduleID = attribute.Key("tactus.schedule.id")
	version    = attribute.Key("tactus.schedule.version")
	runID      = attribute.Key("tactus.run.id")
	dueAt      = attribute.Key("tactus.run.due_at")
	late       = attribute.Key("tactus.run.late_seconds")
	status     = attribute.Key("tactus.run.status")
	runtime    = attribute.Key("tactus.run.runtime_seconds")
	sinkName   = attribute.Key("tactus.sink")

	taskName    = attribute.Key("celery.task_name")
	system      = attribute.Key("messaging.system")
	operation   = attribute.Key("messaging.operation.type")
	destination = attribute.Key("messaging.destination.name")
	messageID   = attribute.Key("messaging.message.id")
)

// Published implements relay.Traces.
func (t *Traces) Published(p relay.Published) {
	for i, e := range p.Entries {
		switch row := p.Rows[i]; {
		case e.Message == nil:
		case p.Tasks:
			if parent, ok := t.ofRun(row.Aggregate, headerOf(row.Headers)); ok {
				t.handedOver(parent, p, e, row)
			}
		default:
			if parent, ok := parse(headerOf(row.Headers)); ok {
				t.relayed(parent, p, e, row)
			}
		}
	}
}

// ofRun returns the context that spans of a run are below: that which its event has, or the run's own. It reports
// whether they are recorded, as far as that is known.
func (t *Traces) ofRun(run domain.ID, header string) (parent trace.SpanContext, recorded bool) {
	if parent, ok := parse(header); ok {
		return parent, true
	}
	if !t.Samples(run) {
		return parent, false
	}
	return t.firing(run), true
}

func (t *Traces) relayed(parent trace.SpanContext, p relay.Published, e relay.Entry, row outbox.Row) {
	s := span{name: relaySpan + string(row.Type), kind: trace.SpanKindProducer, began: p.Began, ended: p.Ended}
	t.record(under(parent), s, system.String("redis"), operation.String("send"), sinkName.String(p.Sink),
		messageID.String(e.Message.UUID), scheduleID.String(row.Aggregate.String()), version.Int64(row.Version))
}

func (t *Traces) handedOver(parent trace.SpanContext, p relay.Published, e relay.Entry, row outbox.Row) {
	s := span{name: handSpan, kind: trace.SpanKindProducer, began: p.Began, ended: p.Ended}
	t.record(under(parent), s, system.String("redis"), operation.String("send"), sinkName.String(p.Sink),
		messageID.String(e.Message.UUID), destination.String(redis.Destination(e.Message)),
		runID.String(row.Aggregate.String()), taskName.String(taskOf(e.Message.Payload)))
}

// taskOf returns the name of the task that a message is for, be it Celery's or an event.
func taskOf(payload []byte) string {
	var m struct {
		Headers struct {
			Task string `json:"task"`
		} `json:"headers"`
		Data struct {
			TaskName string `json:"task_name"`
		} `json:"data"`
	}
	if json.Unmarshal(payload, &m) != nil {
		return ""
	}
	return m.Headers.Task + m.Data.TaskName // one of them is empty
}

// Synced implements beat.Traces.
func (t *Traces) Synced(c beat.Synced) {
	if parent, ok := parse(c.Trace); ok {
		s := span{name: syncSpan + string(c.Type), kind: trace.SpanKindConsumer, began: c.Heard, ended: c.InMemory}
		t.record(under(parent), s, system.String("redis"), operation.String("process"),
			scheduleID.String(c.Schedule.String()), version.Int64(c.Version))
	}
}

// Fired implements beat.Traces.
func (t *Traces) Fired(f beat.Fired) {
	s := span{name: fireSpan, kind: trace.SpanKindProducer, began: f.Began, ended: f.Ended}
	t.record(asRun(f.Run), s, runID.String(f.Run.String()), scheduleID.String(f.Schedule.String()),
		dueAt.String(f.Due.UTC().Format(time.RFC3339Nano)), late.Float64(f.Late.Seconds()))
}

// Ended implements results.Traces.
func (t *Traces) Ended(r results.Ended) {
	parent, recorded := t.ofRun(r.Run, r.Trace)
	if !recorded {
		return
	}
	s := span{name: resultSpan, kind: trace.SpanKindConsumer, began: r.Left, ended: r.Recorded}
	if r.Status == domain.Failed {
		s.failed = "the task failed"
	}
	all := []attribute.KeyValue{runID.String(r.Run.String()), status.String(string(r.Status))}
	if r.Runtime != nil {
		all = append(all, runtime.Float64(r.Runtime.Seconds()))
	}
	t.record(under(parent), s, all...)
}
