package domain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxPayload is the largest definition that is stored, in bytes of JSON.
const MaxPayload = 256 << 10

// Decode decodes a definition from JSON: a whole one, or the members that a patch changes. Each unknown member and each
// member of the wrong type is a fault of its own, up to MaxFaults.
func Decode(raw []byte) (Definition, error) {
	members, err := object(raw)
	if err != nil {
		return Definition{}, err
	}
	var d Definition
	var faults Faults
	value := reflect.ValueOf(&d).Elem()
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if faults.full() {
			break // further faults would not be reported
		}
		field, known := fields[name]
		if slices.Contains(readOnly, name) {
			continue
		}
		if !known {
			faults.add("unknown_field", "/"+name, "there is no such member%s", suggest(name))
			continue
		}
		if kind := value.Field(field).Type(); (kind.Kind() == reflect.String || kind == reflect.TypeFor[[]string]()) &&
			halfPair(members[name]) {
			code := "text_invalid"
			if name == "name" {
				code = "name_invalid"
			}
			faults.add(code, "/"+name, "there is half a surrogate pair, which is no character: take it out")
			continue
		}
		err := json.Unmarshal(members[name], value.Field(field).Addr().Interface())
		number := value.Field(field).Kind() == reflect.Float64
		_, list := value.Field(field).Interface().([]string)
		switch {
		case err != nil || number && len(members[name]) > longestNumber || list && holdsNull(members[name]):
			value.Field(field).SetZero() // nothing that follows from it is a fault
			faults.add("type_invalid", "/"+name, "want %s", typeName(value.Field(field).Type()))
		case number && rounded(members[name], value.Field(field).Float()):
			faults.add("trigger_unsupported", "/"+name, "%s: whole seconds only", members[name])
		}
	}
	return d, faults.err()
}

// DecodeInto decodes the members of a small JSON object into a struct; no text is an empty object. The error is Faults,
// one for each member that is unknown or of the wrong type.
func DecodeInto[T any](raw []byte, into *T) error {
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	given, err := object(raw)
	if err != nil {
		return err
	}
	var faults Faults
	value, known := reflect.ValueOf(into).Elem(), names[T]()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		field := slices.Index(known, name)
		if field < 0 {
			faults.add("unknown_field", "/"+name, "want %s", strings.Join(known, ", "))
			continue
		}
		if err := json.Unmarshal(given[name], value.Field(field).Addr().Interface()); err != nil || halfPair(given[name]) {
			faults.add("type_invalid", "/"+name, "want %s", typeName(value.Field(field).Type()))
		}
	}
	return faults.err()
}

// longestNumber is how many characters a number may have, as in SQL: a float64 keeps fewer digits.
const longestNumber = 40

// holdsNull reports whether a list of strings, or nulls, has a null in it, which is decoded into an empty string.
func holdsNull(raw []byte) bool {
	var list []*string
	return json.Unmarshal(raw, &list) == nil && slices.Contains(list, nil)
}

// rounded reports whether a number that is written with a fraction became a whole one because a float64 keeps too few
// digits.
func rounded(raw []byte, value float64) bool {
	if value < 1 || value != math.Trunc(value) { // refused later; and a Rat of 1e-999999999 would not fit into memory
		return false
	}
	written, ok := new(big.Rat).SetString(string(raw))
	return ok && !written.IsInt()
}

// Merge applies a patch to d by RFC 7396: null removes a member, objects are merged, and any other value replaces. A
// patch that names one trigger (or one target) removes the other kinds of it: the latest choice counts.
func (d Definition) Merge(patch []byte) (Definition, error) {
	changes, err := object(patch)
	if err != nil {
		return Definition{}, err
	}
	base, err := json.Marshal(d)
	if err != nil {
		return Definition{}, fmt.Errorf("merge: %w", err)
	}
	members, err := object(base)
	if err != nil {
		return Definition{}, err
	}
	d.sameWord(changes)
	for _, group := range alternatives {
		for _, named := range group {
			if !present(changes[named]) {
				continue
			}
			for _, other := range group {
				if other != named {
					delete(members, other)
				}
			}
		}
	}
	for name, change := range changes {
		members[name] = mergeValue(members[name], change)
		if members[name] == nil {
			delete(members, name)
		}
	}
	if members["exclude_calendars"] == nil && members["only_calendars"] == nil && !present(changes["on_excluded"]) {
		delete(members, "on_excluded") // it went with the calendars
	}
	merged, err := json.Marshal(members)
	if err != nil {
		return Definition{}, fmt.Errorf("merge: %w", err)
	}
	return Decode(merged)
}

// sameWord handles a patch that carries both names of kwargs, as an answer does: it ignores the one that changes
// nothing.
func (d Definition) sameWord(changes map[string]json.RawMessage) {
	if !present(changes["kwargs"]) || !present(changes["task_params"]) {
		return
	}
	if equal(changes["task_params"], d.Kwargs) {
		delete(changes, "task_params")
	} else if equal(changes["kwargs"], d.Kwargs) {
		delete(changes, "kwargs")
	}
}

// equal reports whether two JSON values are equal, whatever the order of their members.
func equal(a, b json.RawMessage) bool {
	var x, y any
	return decodeNumbers(a, &x) == nil && decodeNumbers(b, &y) == nil && reflect.DeepEqual(x, y)
}

// decodeNumbers decodes JSON and keeps numbers as they are written.
func decodeNumbers(raw json.RawMessage, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	return decoder.Decode(value)
}

// alternatives lists groups of members of which a schedule has one.
var alternatives = [][]string{
	{"cron_expression", "interval_seconds", "run_at", "rrule", "preset_name"},
	{"queue", "stream"},
	{"kwargs", "task_params"},
	{"exclude_calendars", "only_calendars"},
}

func present(raw json.RawMessage) bool { return raw != nil && string(raw) != "null" }

func tryObject(raw json.RawMessage) (map[string]json.RawMessage, bool) {
	if !bytes.HasPrefix(bytes.TrimLeft(raw, space), []byte("{")) {
		return nil, false
	}
	var members map[string]json.RawMessage
	return members, json.Unmarshal(raw, &members) == nil
}

func object(raw []byte) (map[string]json.RawMessage, error) {
	if len(raw) > MaxPayload {
		return nil, Faults{TooLong(len(raw))}
	}
	if !utf8.Valid(raw) {
		return nil, Faults{{Kind: Invalid, Code: "utf8_invalid", Message: "the text is not valid UTF-8: encode it as UTF-8"}}
	}
	if !json.Valid(raw) {
		return nil, Faults{unparsable(raw)}
	}
	if !bytes.HasPrefix(bytes.TrimLeft(raw, space), []byte("{")) {
		return nil, Faults{{Kind: Invalid, Code: "json_invalid", Message: "want a JSON object"}}
	}
	return members(raw), nil
}

// TooLong returns the fault of a text of so many bytes, which is more than MaxPayload.
func TooLong(size int) *Error {
	return &Error{Kind: TooLarge, Code: "payload_too_large", Message: fmt.Sprintf("%d bytes: at most %d (256 KiB) are kept; "+
		"store the data elsewhere and pass a reference", size, MaxPayload)}
}

// unparsable returns why a text cannot be parsed. Go parses no JSON that is nested more than 10,000 levels deep.
func unparsable(raw []byte) *Error {
	err := json.Unmarshal(raw, new(any))
	syntax, ok := err.(*json.SyntaxError)
	switch {
	case !ok:
		return &Error{Kind: Invalid, Code: "json_invalid", Message: "this is not JSON: malformed"}
	case strings.Contains(syntax.Error(), "max depth"):
		return &Error{Kind: Invalid, Code: "value_unreadable", Message: "nested too deeply"}
	default:
		return &Error{Kind: Invalid, Code: "json_invalid", Message: fmt.Sprintf("this is not JSON: %s at byte %d", syntax.Error(), syntax.Offset)}
	}
}

// fields maps each member's JSON name to the index of its field in Definition.
var fields = func() map[string]int {
	index := map[string]int{}
	for i, name := range names[Definition]() {
		index[name] = i
	}
	return index
}()

// names returns the names of a struct's members in JSON, in their order.
func names[T any]() (all []string) {
	for field := range reflect.TypeFor[T]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		all = append(all, name)
	}
	return all
}

// readOnly lists members that an answer has and a request may carry back. Their values are ignored.
var readOnly = []string{
	"id", "version", "created_at", "updated_at", "effective_from", "trigger_set_at", "deleted_at", "last_run_at", "next_run_at",
	"invalid_reason", "managed_by", "warnings", "total_run_count", "last_status", "last_error", "success_rate",
	"last_runtime_seconds", "owner", "message",
	"paused_at", "paused_until", "paused_by", "pause_reason", "pause_group", "skip_until", "skipped_by", "skip_reason",
	"completed_at", "state",
}

// meant are members by names that other schedulers, and our own command line, have for them.
var meant = map[string]string{
	"at": "run_at", "cron": "cron_expression", "crontab": "cron_expression", "every": "interval_seconds",
	"interval": "interval_seconds", "task": "task_name", "tz": "timezone",
}

// suggest returns the known member whose name differs only in case, hyphens or a missing suffix, or that is meant.
func suggest(name string) string {
	n := plain(name)
	if known := meant[n]; known != "" {
		return fmt.Sprintf(": do you mean %q?", known)
	}
	for _, known := range slices.Sorted(maps.Keys(fields)) {
		if k := plain(known); k == n || (len(n) > 3 && strings.HasPrefix(k, n)) {
			return fmt.Sprintf(": do you mean %q?", known)
		}
	}
	return ""
}

var withoutHyphens = strings.NewReplacer("-", "", "_", "")

func plain(name string) string { return strings.ToLower(withoutHyphens.Replace(name)) }

func typeName(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list of strings"
	default:
		return "an object"
	}
}
