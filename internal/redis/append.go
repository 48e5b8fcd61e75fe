package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ThreeDotsLabs/watermill-redisstream/pkg/redisstream"
	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/relay"
)

// One call of a script takes so many bytes, more or less: Redis reads a command as a whole before it runs it.
const maxCallBytes = 4 << 20

// appendAll writes entries in calls of bounded size. An entry that cannot be encoded is refused after those before it
// are written.
func appendAll(ctx context.Context, at relay.Mark, entries []relay.Entry,
	encode func(relay.Entry) ([]any, error), write func(context.Context, relay.Mark, []any) (relay.Mark, error),
) (relay.Mark, error) {
	args, size := []any{}, 0
	flush := func() (err error) {
		if len(args) > 0 {
			at, err = write(ctx, at, args)
			args, size = args[:0], 0
		}
		return err
	}
	for _, e := range entries {
		fields, unfit := encode(e)
		if n := sizeOf(fields); unfit != nil || size+n > maxCallBytes {
			if err := flush(); err != nil {
				return at, err
			}
		}
		if unfit != nil {
			return at, &relay.Refused{Real: at, ID: e.ID, Reason: unfit.Error()}
		}
		args = append(args, fields...)
		size += sizeOf(fields)
	}
	err := flush()
	return at, err
}

func sizeOf(fields []any) (n int) {
	for _, f := range fields {
		switch value := f.(type) {
		case string:
			n += len(value)
		case []byte:
			n += len(value)
		}
	}
	return n
}

// fields are those of a stream's entry.
type fields struct {
	uuid     string
	metadata []byte
	payload  []byte
}

// marshal is watermill-redisstream's own.
func marshal(topic string, m *message.Message) (fields, error) {
	values, err := redisstream.DefaultMarshallerUnmarshaller{}.Marshal(topic, m)
	if err != nil {
		return fields{}, fmt.Errorf("marshal message %s: %w", m.UUID, err)
	}
	uuid, okUUID := values[redisstream.UUIDHeaderKey].(string)
	metadata, okMetadata := values["metadata"].([]byte)
	payload, okPayload := values["payload"].([]byte)
	if !okUUID || !okMetadata || !okPayload || len(values) != 3 {
		return fields{}, errors.New("watermill-redisstream has another wire format than is known here")
	}
	return fields{uuid, metadata, payload}, nil
}

// hashTag is the part of a key by which Cluster chooses its slot.
func hashTag(key string) string {
	if _, rest, ok := strings.Cut(key, "{"); ok {
		if tag, _, ok := strings.Cut(rest, "}"); ok && tag != "" {
			return tag
		}
	}
	return key
}
