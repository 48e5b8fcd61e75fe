package verify

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// row is a row of tactus.schedules.
type row struct {
	ID            domain.ID
	Name          string
	Version       int64
	Enabled       bool
	InvalidReason string
	ManagedBy     string
	Trigger       string
	Anchor        *time.Time
	Policy        string
	EffectiveFrom time.Time
	TriggerSetAt  time.Time
	CreatedAt     time.Time
	UpdatedAt     time.Time
	DeletedAt     *time.Time
	Category      string
	Tags          []string
	Definition    string
	Task          string
}

const (
	readRows = `
select id, name, version, enabled, coalesce(invalid_reason, ''), coalesce(managed_by, ''), trigger, anchor, policy, effective_from, trigger_set_at,
    created_at, updated_at, deleted_at, category, tags, definition::text, task::text
from tactus.schedules`
	readTheseRows = readRows + ` where id = any ($1::text[]::uuid[])`
)

// rowOf is the row that a schedule makes.
func rowOf(s domain.Schedule) (row, error) {
	p, err := outbox.Project(s)
	if err != nil {
		return row{}, err
	}
	r := row{
		ID: s.ID, Name: s.Name, Version: s.Version, Enabled: p.Enabled, InvalidReason: s.InvalidReason, ManagedBy: s.ManagedBy,
		Trigger: p.Trigger, Anchor: p.Anchor, Policy: p.Policy,
		EffectiveFrom: s.EffectiveFrom, TriggerSetAt: s.TriggerSetAt, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
		Category: p.Category, Tags: p.Tags, Definition: p.Definition, Task: p.Task,
	}
	if !s.DeletedAt.IsZero() {
		r.DeletedAt = &s.DeletedAt
	}
	return r, nil
}

// readSchedules keeps a fingerprint of each row.
func (c *checker) readSchedules(ctx context.Context, tx pgx.Tx) error {
	for r, err := range each(pages[row](ctx, tx, "projection", readRows)) {
		if err != nil {
			return fmt.Errorf("read schedules: %w", err)
		}
		c.report.Schedules++
		t := c.tallies.of(r.ID)
		t.rowVersion, t.row = uint32(r.Version), r.fingerprint()
	}
	return nil
}

// rebuild applies an event. The row that it makes is doubtful when the one in the table looks otherwise.
func (c *checker) rebuild(e loggedEvent, doubtful map[domain.ID]row) {
	of := Problem{Kind: EventUnreadable, ScheduleID: e.ID, Version: e.Version}
	before := domain.Schedule{ID: e.ID, Version: e.Version - 1}
	after, err := domain.Apply(before, domain.Event{ScheduleID: e.ID, Version: e.Version, Type: e.Type, Data: e.Data, At: e.At})
	if err != nil {
		c.problem(of, "%v", err)
		return
	}
	t := c.tallies.of(e.ID)
	if int64(t.rowVersion) != e.Version {
		return
	}
	made, err := rowOf(after)
	if err != nil {
		c.problem(of, "%v", err)
	} else if made.fingerprint() != t.row {
		doubtful[e.ID] = made
	}
}

// compareRows looks closely at rows whose text is not what the events make: another release may have written the same
// in other words.
func (c *checker) compareRows(ctx context.Context, tx pgx.Tx, doubtful map[domain.ID]row) error {
	if len(doubtful) == 0 {
		return nil
	}
	ids := make([]string, 0, len(doubtful))
	for id := range doubtful {
		ids = append(ids, id.String())
	}
	rows, err := tx.Query(ctx, readTheseRows, ids)
	if err != nil {
		return fmt.Errorf("read schedules: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if err != nil {
		return fmt.Errorf("read schedules: %w", err)
	}
	for _, is := range found {
		if differences := is.differences(doubtful[is.ID]); len(differences) > 0 {
			c.problem(Problem{Kind: ProjectionDiffers, ScheduleID: is.ID, Version: is.Version}, "tactus.schedules: %s", strings.Join(differences, "; "))
		}
	}
	return nil
}

// compareProjection judges whether the row is of the newest event.
func (c *checker) compareProjection(id domain.ID, t *tally) {
	of := Problem{Kind: ProjectionDiffers, ScheduleID: id, Version: int64(t.rowVersion)}
	switch {
	case t.rowVersion == t.last:
	case t.rowVersion == 0:
		of.Kind, of.Version = ProjectionMissing, int64(t.last)
		c.problem(of, "%s in the log, and no row in tactus.schedules", versions(1, t.last))
	case t.last == 0:
		of.Kind = ProjectionUnknown
		c.problem(of, "a row of version %d in tactus.schedules, and no event", t.rowVersion)
	default:
		c.problem(of, "tactus.schedules: version is %d, want %d", t.rowVersion, t.last)
	}
}

func (r row) fingerprint() uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	for _, text := range r.cells() {
		h.WriteString(text) // hashes never fail to write
		h.WriteByte(0)
	}
	return h.Sum64()
}

var cellNames = [...]string{
	"name", "version", "enabled", "invalid_reason", "managed_by", "trigger", "anchor", "policy",
	"effective_from", "trigger_set_at", "created_at", "updated_at", "deleted_at", "category", "tags", "definition", "task",
}

func (r row) cells() [len(cellNames)]string {
	return [...]string{
		r.Name, fmt.Sprint(r.Version), fmt.Sprint(r.Enabled), r.InvalidReason, r.ManagedBy, r.Trigger, stamp(r.Anchor), r.Policy,
		stamp(&r.EffectiveFrom), stamp(&r.TriggerSetAt), stamp(&r.CreatedAt), stamp(&r.UpdatedAt), stamp(r.DeletedAt),
		r.Category, strings.Join(r.Tags, "\x01"), r.Definition, r.Task,
	}
}

func stamp(t *time.Time) string {
	if t == nil {
		return "null"
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

// differences names the columns in which r is not what it should be.
func (r row) differences(want row) (all []string) {
	is, should := r.normal().cells(), want.normal().cells()
	for i, name := range cellNames {
		if is[i] != should[i] {
			all = append(all, fmt.Sprintf("%s is %s, want %s", name, shorten(is[i]), shorten(should[i])))
		}
	}
	return all
}

// normal says the same in the words of this release. What it cannot read stays as it is.
func (r row) normal() row {
	if t, err := domain.ParseTrigger(r.Trigger); err == nil {
		r.Trigger = t.String()
	}
	if p, err := domain.ParsePolicy(r.Policy); err == nil {
		r.Policy = p.String()
	}
	r.Definition, r.Task = reencode[domain.Definition](r.Definition), reencode[domain.Task](r.Task)
	return r
}

func reencode[T any](text string) string {
	var value T
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return text
	}
	encoded, err := json.Marshal(value)
	if err != nil {
		return text
	}
	return string(encoded)
}

const shortened = 120

func shorten(text string) string {
	if len(text) <= shortened {
		return text
	}
	return strings.ToValidUTF8(text[:shortened], "") + "..."
}
