package importer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// replaceTimes replaces the times in JSON that RedBeat stores, which are objects whose __type__ is datetime, by what
// write returns. Everything else stays as it is, byte for byte.
func replaceTimes(raw json.RawMessage, write func(time.Time) json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case !bytes.Contains(raw, []byte(`"__type__"`)):
		return raw, nil
	case raw[0] == '[':
		return replaceInList(raw, write)
	case raw[0] == '{':
		return replaceInObject(raw, write)
	}
	return raw, nil
}

func replaceInList(raw json.RawMessage, write func(time.Time) json.RawMessage) (json.RawMessage, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	for i := range items {
		item, err := replaceTimes(items[i], write)
		if err != nil {
			return nil, err
		}
		items[i] = item
	}
	return joined('[', items, ']'), nil
}

func replaceInObject(raw json.RawMessage, write func(time.Time) json.RawMessage) (json.RawMessage, error) {
	var kind struct {
		Type string `json:"__type__"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return nil, err
	}
	switch kind.Type {
	case "":
	case "datetime":
		var t redBeatTime
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, fmt.Errorf("cannot read a time of RedBeat: %w", err)
		}
		return write(t.time()), nil
	default:
		return nil, fmt.Errorf("RedBeat turns an object into a %q, which no message can hold: use plain JSON",
			kind.Type)
	}
	members, err := membersOf(raw)
	if err != nil {
		return nil, err
	}
	for i, member := range members {
		name, value, _ := bytes.Cut(member, []byte("\x00"))
		if value, err = replaceTimes(value, write); err != nil {
			return nil, err
		}
		members[i] = append(append(name, ':'), value...)
	}
	return joined('{', members, '}'), nil
}

// membersOf splits an object into its members, in their order. Each is the name as it is written, a zero byte, and the
// value.
func membersOf(raw json.RawMessage) (members []json.RawMessage, err error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil { // the brace
		return nil, err
	}
	for d.More() {
		from := d.InputOffset()
		if _, err := d.Token(); err != nil {
			return nil, err
		}
		name := strings.TrimLeft(string(raw[from:d.InputOffset()]), ", \t\r\n")
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		members = append(members, append([]byte(name+"\x00"), value...))
	}
	return members, nil
}

func joined(open byte, parts []json.RawMessage, shut byte) json.RawMessage {
	text := []byte{open}
	for i, part := range parts {
		if i > 0 {
			text = append(text, ',')
		}
		text = append(text, part...)
	}
	return append(text, shut)
}

// timeText returns a time in kombu's JSON: a text before version 5.3, and an object that names its type since.
func timeText(at time.Time, typed bool) json.RawMessage {
	layout := "2006-01-02T15:04:05-07:00"
	if at.Nanosecond() != 0 {
		layout = "2006-01-02T15:04:05.000000-07:00"
	}
	text := at.Format(layout)
	if typed {
		return json.RawMessage(`{"__type__":"datetime","__value__":"` + text + `"}`)
	}
	if before, utc := strings.CutSuffix(text, "+00:00"); utc {
		text = before + "Z"
	}
	return json.RawMessage(`"` + text + `"`)
}

// withoutMark removes the byte-order mark that some editors write at the beginning of a file.
func withoutMark(raw []byte) []byte { return bytes.TrimPrefix(raw, []byte("\ufeff")) }
