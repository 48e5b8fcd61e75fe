package celery

import (
	"errors"
	"fmt"

	"github.com/tactus-dev/tactus/domain"
)

// ControlChannel, behind the prefix of a broker's channels (/0.), is where all workers listen for commands.
const ControlChannel = "celery.pidbox"

// command is what Celery's control broadcasts. All workers are meant, and none answers.
type command struct {
	Method      string         `json:"method"`
	Arguments   map[string]any `json:"arguments"`
	Destination []string       `json:"destination"`
	Pattern     *string        `json:"pattern"`
	Matcher     *string        `json:"matcher"`
}

// Revoke returns the message by which Celery's control asks all workers to revoke tasks: to pass them over, and, where
// terminate says so, to kill the processes that run them. deliveryTag is a new UUID for each message.
func Revoke(tasks []domain.ID, terminate bool, deliveryTag string) ([]byte, error) {
	if deliveryTag == "" {
		return nil, errors.New("encode a command: no delivery tag")
	}
	text, err := encode(command{Method: "revoke", Arguments: map[string]any{
		"task_id": tasks, "terminate": terminate, "signal": "SIGTERM",
	}})
	if err != nil {
		return nil, fmt.Errorf("encode a command: %w", err)
	}
	const most = 512 // of what is not the body
	return finish(append(envelope(text, most), `{"clock":1,"expires":0}`...), properties{
		exchange: ControlChannel, deliveryTag: deliveryTag,
	}), nil
}
