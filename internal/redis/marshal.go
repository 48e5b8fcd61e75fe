package redis

import (
	"errors"
	"fmt"

	"github.com/ThreeDotsLabs/watermill/message"
	goredis "github.com/redis/go-redis/v9"
)

// The wire format is that of watermill-redisstream: an entry has three fields, and the metadata is a MessagePack map,
// or empty when a message has none. The tests compare it with the library's own marshaller.
const (
	fieldUUID     = "_watermill_message_uuid"
	fieldMetadata = "metadata"
	fieldPayload  = "payload"
)

// fields holds the three fields of an entry.
type fields struct {
	uuid     string
	metadata []byte
	payload  []byte
}

func marshal(m *message.Message) (fields, error) {
	if m.Metadata.Get(fieldUUID) != "" {
		return fields{}, fmt.Errorf("marshal message %s: the metadata key %s is reserved for the message's UUID",
			m.UUID, fieldUUID)
	}
	return fields{m.UUID, packMap(m.Metadata), m.Payload}, nil
}

func unmarshal(e goredis.XMessage) (*message.Message, error) {
	uuid, ok := e.Values[fieldUUID].(string)
	if !ok {
		return nil, errors.New("the entry has no field " + fieldUUID)
	}
	payload, _ := e.Values[fieldPayload].(string)
	m := message.NewMessage(uuid, []byte(payload))
	packed, _ := e.Values[fieldMetadata].(string)
	if packed == "" {
		return m, nil
	}
	metadata, err := unpackMap(packed)
	if err != nil {
		return nil, fmt.Errorf("decode the metadata: %w", err)
	}
	m.Metadata = metadata
	return m, nil
}
