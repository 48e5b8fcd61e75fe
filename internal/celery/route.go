package celery

import (
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Address is where a message goes: to a list, or through an exchange.
type Address struct {
	Key     string    // the list of a queue (LPUSH); empty when Through is set
	Through *Exchange // when set, the broker knows which queues are bound
}

// Exchange leads a message to the queues that workers have bound to it. kombu keeps the bindings in a set of the
// broker, whose members consist of a routing key, a pattern and a queue. The set does not say which type the exchange
// has: members with a pattern belong to a topic exchange, and all others are bound by the routing key itself. A fanout
// exchange is one whose channel has subscribers.
type Exchange struct {
	Name       string `json:"exchange"`
	RoutingKey string `json:"routing_key"`
	Bindings   string `json:"bindings"`  // the key of the set
	Separator  string `json:"separator"` // between the parts of a member
	Channel    string `json:"channel"`   // of a fanout exchange
	Prefix     string `json:"prefix"`    // of the name of a queue's list
	Suffix     string `json:"suffix"`    // of the name of a queue's list, by its priority
	Queue      string `json:"queue"`     // receives the message when no queue is bound; may be empty
	Tag        string `json:"tag"`       // the delivery tag, and in the message the placeholder for the queue
}

// address returns where a task goes. A task that names an exchange and a routing key goes through the exchange; Celery
// ignores one without the other, and each queue has an exchange of its own name.
func (c Config) address(task domain.Task, priority int, tag string) (to Address, routingKey string) {
	queue := c.queue(task.Queue)
	if !task.Through() || task.Exchange == queue && task.RoutingKey == queue {
		return Address{Key: c.key(queue, priority)}, queue
	}
	return Address{Through: &Exchange{
		Name: task.Exchange, RoutingKey: task.RoutingKey, Bindings: c.KeyPrefix + "_kombu.binding." + task.Exchange, Separator: c.PrioritySeparator,
		Channel: c.channel(task.Exchange, task.RoutingKey), Prefix: c.KeyPrefix, Suffix: c.suffix(priority), Queue: task.Queue, Tag: tag,
	}}, tag
}

// Lists returns the lists of the exchange's own queue and of all queues that members of the set name, whatever they are
// bound by.
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
