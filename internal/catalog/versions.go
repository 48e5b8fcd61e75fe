package catalog

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// VersionChange is one event in the history of a schedule, with what it changed.
type VersionChange struct {
	Version    int64            `json:"version" doc:"Of the schedule after the change."`
	Type       domain.EventType `json:"type"`
	At         time.Time        `json:"at"`
	Actor      string           `json:"actor,omitempty" doc:"Who made it."`
	OnBehalfOf string           `json:"on_behalf_of,omitempty" doc:"The application's own user, as the actor says, which proves nothing."`
	Reason     string           `json:"reason,omitempty" doc:"Why, as the actor said."`
	Changes    []MemberChange   `json:"changes"`
}

// MemberChange is a change of one member of a schedule. The value of an absent member is null.
type MemberChange struct {
	Member string          `json:"member"`
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// readVersions reads events of a schedule, the newest first.
const readVersions = `
select version, type, data, headers, ` + sqlexpr.OccurredAt + `
from tactus.outbox where topic = 'schedule' and aggregate_id = @id and version < @before::bigint
order by version desc limit @limit::bigint`

type versionRow struct {
	Version       int64
	Type          domain.EventType
	Data, Headers []byte
	At            time.Time
}

// Versions returns the history of a schedule, deleted or not, as changes: the newest first, at most limit of those
// before a version. more reports whether there are older ones.
func (c *Catalog) Versions(ctx context.Context, schedule domain.ID, before int64, limit int) (changes []VersionChange, more bool,
	err error,
) {
	if err := c.mayRead(ctx, schedule, domain.ErrNotFound); err != nil {
		return nil, false, err
	}
	err = c.read(ctx, func(tx pgx.Tx) error {
		// each is compared with the one before it
		rows, err := bounded(ctx, tx, func(r versionRow) int { return len(r.Data) }, readVersions,
			pgx.NamedArgs{"id": schedule, "before": before, "limit": limit + 1})
		if err != nil {
			return fmt.Errorf("read versions: %w", err)
		}
		changes = make([]VersionChange, 0, limit)
		for i := range min(len(rows), limit) {
			former := versionRow{}
			if i+1 < len(rows) && rows[i+1].Version == rows[i].Version-1 {
				former = rows[i+1]
			}
			changes = append(changes, rows[i].since(former))
		}
		more = len(rows) > limit
		return nil
	})
	return changes, more, err
}

// derived are the members of an event's data that every change changes, or that follow from others.
var derived = []string{"id", "version", "schema", "created_at", "updated_at", "effective_from", "trigger_set_at", "deleted_at"}

// since returns what changed from the former event to this one. If one of them cannot be read, because it was written
// by hand, no changes are shown.
func (r versionRow) since(former versionRow) VersionChange {
	change := VersionChange{Version: r.Version, Type: r.Type, At: r.At.UTC()}
	by := byOf(r.Headers)
	change.Actor, change.OnBehalfOf, change.Reason = by.Actor, by.OnBehalfOf, by.Reason
	change.Changes = MemberChanges(former.Data, r.Data)
	return change
}

// MemberChanges returns the members in which two documents differ, by name, without derived ones.
func MemberChanges(former, latter []byte) []MemberChange {
	changes := []MemberChange{}
	before, after := membersOf(former), membersOf(latter)
	names := slices.Collect(maps.Keys(after))
	for name := range before {
		if _, kept := after[name]; !kept {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if !slices.Contains(derived, name) && !bytes.Equal(before[name], after[name]) {
			changes = append(changes, MemberChange{name, orNull(before[name]), orNull(after[name])})
		}
	}
	return changes
}

// Differences returns the MemberChanges of members whose values differ. One that is only written otherwise, such as
// {"b":1,"a":2} instead of {"a":2,"b":1}, is not among them.
func Differences(former, latter []byte) []MemberChange {
	return slices.DeleteFunc(MemberChanges(former, latter), func(m MemberChange) bool {
		return sameValue(m.Before, m.After)
	})
}

// sameValue reports whether two texts of JSON have one value, as workers read it: 1 and 1.0 are two.
func sameValue(a, b json.RawMessage) bool {
	one, err := valueOf(a)
	other, failed := valueOf(b)
	return err == nil && failed == nil && reflect.DeepEqual(one, other)
}

func valueOf(text json.RawMessage) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err = decoder.Decode(&value); err != nil {
		return nil, err
	}
	return plain(value), nil
}

// plain replaces fractions, in place, by what a float64 holds of them. Integers keep their digits, however many.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return f
		}
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return value
}

// membersOf returns the members of a document, each without white space around its parts.
func membersOf(document []byte) map[string]json.RawMessage {
	var members map[string]json.RawMessage
	if json.Unmarshal(document, &members) != nil {
		return nil
	}
	for name, value := range members {
		var compact bytes.Buffer
		if json.Compact(&compact, value) == nil {
			members[name] = compact.Bytes()
		}
	}
	return members
}

func orNull(value json.RawMessage) json.RawMessage {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}
