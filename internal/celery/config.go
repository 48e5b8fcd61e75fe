package celery

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Config is how the workers' broker is set up. Its zero value is Celery's default.
type Config struct {
	DefaultQueue      string // of runs that name no queue; "celery" unless set
	KeyPrefix         string // global_keyprefix of the transport options
	PrioritySeparator string // sep of the transport options; "\x06\x16" unless set
	PrioritySteps     []int  // priority_steps of the transport options, ascending; 0, 3, 6, 9 unless set
	Database          int    // of the broker: the names of its channels begin with it
	StreamPrefix      string // with which the names of task streams begin; any unless set
	Origin            string // who sends, as the workers show it; "tactus" unless set
}

// withDefaults spells out what is not set.
func (c Config) withDefaults() Config {
	if c.DefaultQueue == "" {
		c.DefaultQueue = "celery"
	}
	if c.PrioritySeparator == "" {
		c.PrioritySeparator = "\x06\x16"
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

// QueueOf is the queue that a list of this name belongs to, whatever its priority.
func (c Config) QueueOf(key string) string {
	c = c.withDefaults()
	queue, _, _ := strings.Cut(strings.TrimPrefix(key, c.KeyPrefix), c.PrioritySeparator)
	return queue
}

// IsDefault tells whether runs that name no queue go to this one.
func (c Config) IsDefault(queue string) bool { return queue == c.withDefaults().DefaultQueue }

// Kombu takes priorities beyond these for these.
const minPriority, maxPriority = 0, 9

// key names the list of a queue and a priority.
func (c Config) key(queue string, priority int) string {
	return c.KeyPrefix + queue + c.suffix(priority)
}

// suffix ends the name of a list: each step but 0 has one of its own.
func (c Config) suffix(priority int) string {
	priority = min(max(priority, minPriority), maxPriority)
	step := c.PrioritySteps[0]
	for _, s := range slices.Sorted(slices.Values(c.PrioritySteps)) {
		if s <= priority {
			step = s
		}
	}
	if step == 0 {
		return ""
	}
	return c.PrioritySeparator + strconv.Itoa(step)
}

// channel is where those listen who are bound to a fanout exchange.
func (c Config) channel(exchange, routingKey string) string {
	return fmt.Sprintf("%s/%d.%s/%s", c.KeyPrefix, c.Database, exchange, routingKey)
}
