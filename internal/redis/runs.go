package redis

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/uuid"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// EncodeRun returns the message that hands over the run of a row: an event when the run goes to a task stream, a Celery
// task otherwise.
func EncodeRun(row outbox.Row, epoch string, cfg celery.Config) (*message.Message, error) {
	due, err := celery.ReadRun(row.Data)
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", row.Aggregate, err)
	}
	if due.Stream != "" {
		if err := cfg.CheckStream(due.Stream); err != nil {
			return nil, fmt.Errorf("encode run %s: %w", row.Aggregate, err)
		}
		m, err := cloudevents.Run(row, epoch)
		if err != nil {
			return nil, err
		}
		return ToStream(m, due.Stream), nil
	}
	due.TraceParent, due.HandedOver = traceOf(row.Headers), row.HandedOver
	if due.HandedOver.IsZero() {
		due.HandedOver = row.At
	}
	to, text, err := celery.Encode(due, uuid.NewString(), cfg)
	if err != nil {
		return nil, fmt.Errorf("encode run %s: %w", row.Aggregate, err)
	}
	m := message.NewMessage(due.RunID.String(), text)
	if to.Through != nil {
		return ToExchange(m, *to.Through)
	}
	return ToList(m, to.Key), nil
}

// traceOf returns the trace context that the headers of an event carry; "" when there is none.
func traceOf(headers json.RawMessage) string {
	const name = "traceparent"
	var h struct {
		TraceParent string `json:"traceparent"`
	}
	if !bytes.Contains(headers, []byte(name)) || json.Unmarshal(headers, &h) != nil {
		return "" // unreadable headers must not keep a run from being handed over
	}
	return h.TraceParent
}
