package celery

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
)

// Config describes how the workers' broker is configured. The zero value uses Celery's defaults.
type Config struct {
	DefaultQueue      string // the queue of runs that name none; "celery" if empty
	KeyPrefix         string // global_keyprefix of the transport options
	PrioritySeparator string // sep of the transport options; "\x06\x16" if empty
	PrioritySteps     []int  // priority_steps of the transport options, ascending; 0, 3, 6, 9 if empty
	Database          int    // the number of the broker's database, which is part of its channels' names
	StreamPrefix      string // the names of task streams begin with it; any name is allowed if empty
	Origin            string // the sender's name, as the workers show it; "tactus" if empty
}

// withDefaults returns c with the defaults filled in.
func (c Config) withDefaults() Config {
	if c.DefaultQueue == "" {
		c.DefaultQueue = handover.DefaultQueue
	}
	if c.PrioritySeparator == "" {
		c.PrioritySeparator = handover.PrioritySeparator
	}
	if len(c.PrioritySteps) == 0 {
		c.PrioritySteps = []int{0, 3, 6, 9}
	}
	if c.Origin == "" {
		c.Origin = "tactus"
	}
	return c
}

func (c Config) queue(named string) string {
	if named == "" {
		return c.DefaultQueue
	}
	return named
}

// QueueOf returns the queue that a list belongs to, whatever the list's priority.
func (c Config) QueueOf(key string) string {
	return c.limits().QueueOf(key)
}

// limits returns what these workers can be handed.
func (c Config) limits() handover.Limits {
	return handover.Limits{
		DefaultQueue: c.DefaultQueue, KeyPrefix: c.KeyPrefix, PrioritySeparator: c.PrioritySeparator, StreamPrefix: c.StreamPrefix,
	}
}

// Check returns an error with every reason why Encode would refuse the task, or the stream that the task names. Whoever
// stores tasks calls it.
func (c Config) Check(task domain.Task) error { return c.limits().Check(task) }

// CheckStream refuses a stream whose name is the name of a queue or of another key of the workers', or lacks the prefix
// that streams have here.
func (c Config) CheckStream(name string) error { return c.limits().CheckStream(name) }

// IsDefault reports whether runs that name no queue go to this one.
func (c Config) IsDefault(queue string) bool { return queue == c.withDefaults().DefaultQueue }

// kombu clamps priorities to this range.
const minPriority, maxPriority = 0, 9

// key returns the name of the list for a queue and a priority.
func (c Config) key(queue string, priority int) string {
	return c.KeyPrefix + queue + c.suffix(priority)
}

// suffix returns the end of a list's name for a priority: each step but 0 has a list of its own.
func (c Config) suffix(priority int) string {
	priority = min(max(priority, minPriority), maxPriority)
	step := slices.Min(c.PrioritySteps)
	for _, s := range c.PrioritySteps {
		if s <= priority {
			step = max(step, s)
		}
	}
	if step == 0 {
		return ""
	}
	return c.PrioritySeparator + strconv.Itoa(step)
}

// channel returns the Pub/Sub channel through which workers receive the messages of a fanout exchange.
func (c Config) channel(exchange, routingKey string) string {
	return fmt.Sprintf("%s/%d.%s/%s", c.KeyPrefix, c.Database, exchange, routingKey)
}
