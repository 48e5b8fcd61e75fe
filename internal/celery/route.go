package celery

import (
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Address is where a message goes: straight to a list, or through an exchange.
type Address struct {
	Key     string    // of the list of a queue (LPUSH)
	Through *Exchange // when set, there is no key: the broker knows which queues are bound
}

// Exchange leads a message to the queues that workers have bound to it, as kombu finds them: in a set of the broker, whose
// members are a routing key, a pattern and a queue. The set does not tell of which type an exchange is. Members with a
// pattern are those of a topic exchange; all others are bound by the routing key itself. A fanout exchange is one whose
// channel somebody listens to.
type Exchange struct {
	Name       string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
	Bindings   string `json:"bindings"`  // the key of the set
	Separator  string `json:"separator"` // of what its members hold
	Channel    string `json:"channel"`   // of those who listen to a fanout exchange
	Prefix     string `json:"prefix"`    // of the list of a queue
	Suffix     string `json:"suffix"`    // the same: its priority
	Queue      string `json:"queue"`     // takes the message when none is bound; may be empty
	Tag        string `json:"tag"`       // stands in the message for the queue that takes it, and for the delivery tag
}

// address sends through an exchange what names one with a routing key. Celery ignores one without the other, and a queue
// has an exchange of its own name.
func (c Config) address(task domain.Task, priority int, tag string) (to Address, routingKey string) {
	queue := c.queue(task.Queue)
	if task.Exchange == "" || task.RoutingKey == "" || task.Exchange == queue && task.RoutingKey == queue {
		return Address{Key: c.key(queue, priority)}, queue
	}
	return Address{Through: &Exchange{
		Name: task.Exchange, RoutingKey: task.RoutingKey, Bindings: c.KeyPrefix + "_kombu.binding." + task.Exchange, Separator: c.PrioritySeparator,
		Channel: c.channel(task.Exchange, task.RoutingKey), Prefix: c.KeyPrefix, Suffix: c.suffix(priority), Queue: task.Queue, Tag: tag,
	}}, tag
}

// Lists are those of all queues that members of the set name, whatever they are bound by, and that of the exchange's own
// queue.
func (x Exchange) Lists(members []string) (keys []string) {
	queues := []string{x.Queue}
	for _, member := range members {
		if parts := strings.Split(member, x.Separator); len(parts) == 3 {
			queues = append(queues, parts[2])
		}
	}
	for _, queue := range queues {
		if queue != "" {
			keys = append(keys, x.Prefix+queue+x.Suffix)
		}
	}
	return keys
}
