package redis

import "github.com/ThreeDotsLabs/watermill/message"

// ListOf returns the list to which a message is addressed; "" when it goes elsewhere.
func ListOf(m *message.Message) string { return keyOf(m, kindList) }

// StreamOf returns the stream to which a message is addressed; "" when it goes elsewhere.
func StreamOf(m *message.Message) string { return keyOf(m, kindStream) }

func keyOf(m *message.Message, kind string) string {
	if m.Metadata.Get(kindKey) != kind {
		return ""
	}
	return m.Metadata.Get(keyKey)
}
