// Package handover has the limits of what can be handed over: which tasks no message to a Celery worker can carry,
// which would end the worker that reads them, and which names a queue or a stream must not have. Whoever stores
// schedules refuses such tasks, and whoever makes messages refuses them again.
package handover

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Celery's defaults.
const (
	DefaultQueue      = "celery"
	PrioritySeparator = "\x06\x16"
)

// Limits are those of workers that are set up in one way. The zero value is for Celery's defaults.
type Limits struct {
	DefaultQueue      string // the queue of runs that name none; "celery" if empty
	KeyPrefix         string // global_keyprefix of the transport options
	PrioritySeparator string // sep of the transport options; "\x06\x16" if empty
	StreamPrefix      string // the names of task streams begin with it; any name is allowed if empty
}

func (l Limits) withDefaults() Limits {
	if l.DefaultQueue == "" {
		l.DefaultQueue = DefaultQueue
	}
	if l.PrioritySeparator == "" {
		l.PrioritySeparator = PrioritySeparator
	}
	return l
}

// QueueOf returns the queue that a list belongs to, whatever the list's priority.
func (l Limits) QueueOf(key string) string {
	queue, _, _ := strings.Cut(strings.TrimPrefix(key, l.KeyPrefix), l.withDefaults().PrioritySeparator)
	return queue
}

func (l Limits) queue(named string) string {
	if named == "" {
		return l.DefaultQueue
	}
	return named
}

func orElse(raw json.RawMessage, empty string) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage(empty)
	}
	return raw
}

func fault(code, field, format string, args ...any) *domain.Error {
	return &domain.Error{Kind: domain.Invalid, Code: code, Field: field, Message: fmt.Sprintf(format, args...)}
}
