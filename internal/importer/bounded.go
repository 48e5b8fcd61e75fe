package importer

import (
	"bytes"
	"encoding/json"
)

// boundedList and boundedMap decode as a slice and a map do, within a budget: a member of two bytes takes kilobytes
// once it is decoded.
type (
	boundedList[T any] []T
	boundedMap[T any]  map[string]T
)

// UnmarshalJSON implements json.Unmarshaler.
func (l *boundedList[T]) UnmarshalJSON(raw []byte) error {
	return decodeMembers(raw, func(_ string, member T) { *l = append(*l, member) })
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *boundedMap[T]) UnmarshalJSON(raw []byte) error {
	*m = boundedMap[T]{}
	return decodeMembers(raw, func(name string, member T) { (*m)[name] = member })
}

// decodeMembers decodes an array or an object, one member after the other.
func decodeMembers[T any](raw []byte, add func(name string, member T)) error {
	if open := bytes.TrimSpace(raw); len(open) == 0 || open[0] != '[' && open[0] != '{' {
		var none struct{}
		if string(open) == "null" {
			return nil
		}
		return json.Unmarshal(raw, &none) // which says what is there instead
	}
	var kept budget
	decoder := json.NewDecoder(bytes.NewReader(raw))
	open, err := decoder.Token()
	for err == nil && decoder.More() {
		var name string
		if open == json.Delim('{') {
			var token json.Token
			if token, err = decoder.Token(); err != nil {
				break
			}
			name, _ = token.(string) // names of members are
		}
		var member T
		before := decoder.InputOffset()
		if err = decoder.Decode(&member); err == nil {
			err = kept.keep(len(name) + int(decoder.InputOffset()-before))
		}
		add(name, member)
	}
	return err
}
