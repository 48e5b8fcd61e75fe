package domain

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// tree is a JSON value whose objects are taken apart, and everything else is as it was written. Taking it apart and
// writing it goes through the text once, however deep it is nested.
type tree struct {
	raw     json.RawMessage  // of what is no object
	members map[string]*tree // of an object
}

// treeOf takes apart the value at the beginning of valid JSON, and returns what follows.
func treeOf(raw []byte) (t *tree, rest []byte) {
	raw = bytes.TrimLeft(raw, space)
	if !bytes.HasPrefix(raw, []byte("{")) {
		end := valueEnd(raw)
		return &tree{raw: bytes.TrimRight(raw[:end], space)}, raw[end:]
	}
	t = &tree{members: map[string]*tree{}}
	for rest = bytes.TrimLeft(raw[1:], space); rest[0] != '}'; rest = bytes.TrimLeft(rest, space+",") {
		end := valueEnd(rest)
		name := string(unquoted(rest[:end]))
		t.members[name], rest = treeOf(bytes.TrimLeft(rest[end:], space+":"))
	}
	return t, rest[1:]
}

// merge applies a patch to t, which may be nil, by RFC 7396. It returns nil where nothing is left.
func (t *tree) merge(patch *tree) *tree {
	if patch.members == nil {
		if !present(patch.raw) {
			return nil
		}
		return patch
	}
	if t == nil || t.members == nil {
		t = &tree{members: map[string]*tree{}}
	}
	for name, change := range patch.members {
		if merged := t.members[name].merge(change); merged != nil {
			t.members[name] = merged
		} else {
			delete(t.members, name)
		}
	}
	return t
}

// appendTo writes the value, the members of each object in the order of their names.
func (t *tree) appendTo(text []byte) []byte {
	if t.members == nil {
		return append(text, t.raw...)
	}
	text = append(text, '{')
	for i, name := range slices.Sorted(maps.Keys(t.members)) {
		if i > 0 {
			text = append(text, ',')
		}
		quoted, _ := json.Marshal(name) // strings encode
		text = t.members[name].appendTo(append(append(text, quoted...), ':'))
	}
	return append(text, '}')
}

// mergeValue applies a patch to a value, which may be nil, by RFC 7396. It returns nil where nothing is left.
func mergeValue(target, patch json.RawMessage) json.RawMessage {
	if !present(patch) {
		return nil
	}
	changes, _ := treeOf(patch)
	if changes.members == nil {
		return patch
	}
	var before *tree
	if target != nil {
		before, _ = treeOf(target)
	}
	return before.merge(changes).appendTo(nil)
}
