package domain

import (
	"encoding/json"
	"fmt"
)

// Schema is the number of the shape in which the data of events are written. It rises only when data of the former
// shape would be misread; a new member with a default needs no new shape. Data without a number have the first shape,
// so a later shape must be named in the member "schema".
//
// Events are never rewritten. A new shape comes with an upcaster from the former one, and with a golden history of the
// former one in testdata/events, which is never changed again.
const Schema = 1

// upcaster changes the members of an event's data from one shape to the next.
type upcaster func(members map[string]json.RawMessage) error

// upcasters convert each shape to the next: the first converts shape 1 to 2.
var upcasters = []upcaster{}

// decodeSchedule decodes the data of an event of any shape.
func decodeSchedule(data []byte) (Schedule, error) { return decodeBy(upcasters, data) }

func decodeBy(steps []upcaster, data []byte) (Schedule, error) {
	var read struct {
		Schema int `json:"schema"`
		Schedule
	}
	err := json.Unmarshal(data, &read)
	shape, newest := max(read.Schema, 1), len(steps)+1
	switch {
	case shape > newest:
		return Schedule{}, fmt.Errorf("its data has shape %d, which a later release writes: this one knows up to %d",
			shape, newest)
	case shape == newest:
		return read.Schedule, err
	}
	raised, err := upcast(steps, data, shape)
	if err != nil {
		return Schedule{}, fmt.Errorf("raise its data from shape %d: %w", shape, err)
	}
	return decodeBy(steps, raised)
}

// upcast converts data from a shape to the newest.
func upcast(steps []upcaster, data []byte, shape int) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	for _, step := range steps[shape-1:] {
		if err := step(members); err != nil {
			return nil, err
		}
	}
	members["schema"] = fmt.Append(nil, len(steps)+1)
	return json.Marshal(members)
}
