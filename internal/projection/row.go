package projection

import (
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
	"github.com/tactus-dev/tactus/outbox"
)

// Row is a row of tactus.schedules.
type Row struct {
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
	sqlexpr.HaltRow
}

// comparableTags are the tags, or, of an array that somebody wrote by hand and no program reads, a text that no tag can
// be: such a row differs from its events, and is one difference among others.
const comparableTags = `case when array_ndims(tags) > 1 then array[E'\x01' || tags::text]
        when array_position(tags, null) is not null then array[E'\x01' || tags::text] else tags end`

// Select reads rows, in the order of the members of Row. It moves a time outside the years that an event can express to
// the nearest such year, where the time differs from every expressible one.
var Select = `
select id, name, version, enabled, coalesce(invalid_reason, ''), coalesce(managed_by, ''), trigger, (` + sqlexpr.InYears("anchor") + `), policy,
    ` + sqlexpr.InYears("effective_from") + `, ` + sqlexpr.InYears("trigger_set_at") + `,
    ` + sqlexpr.InYears("created_at") + `, ` + sqlexpr.InYears("updated_at") + `, ` + sqlexpr.InYears("deleted_at") + `, category, ` + comparableTags + `, definition::text, task::text,
    ` + sqlexpr.Halt("") + `
from tactus.schedules`

// Of returns the row of a schedule.
func Of(s domain.Schedule) (Row, error) {
	p, err := outbox.Project(s)
	if err != nil {
		return Row{}, err
	}
	r := Row{
		ID: s.ID, Name: s.Name, Version: s.Version, Enabled: p.Enabled, InvalidReason: s.InvalidReason, ManagedBy: s.ManagedBy,
		Trigger: p.Trigger, Anchor: p.Anchor, Policy: p.Policy,
		EffectiveFrom: s.EffectiveFrom, TriggerSetAt: s.TriggerSetAt, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
		Category: p.Category, Tags: p.Tags, Definition: p.Definition, Task: p.Task,
		HaltRow: sqlexpr.HaltRowOf(s.Halt),
	}
	if !s.DeletedAt.IsZero() {
		r.DeletedAt = &s.DeletedAt
	}
	return r, nil
}

var seed = maphash.MakeSeed()

// Fingerprint returns a hash of a row's text, for comparisons within this process.
func (r Row) Fingerprint() uint64 {
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
	"paused_at", "paused_until", "skip_until", "completed_at", "paused_by", "pause_reason", "pause_group", "skipped_by", "skip_reason",
}

func (r Row) cells() [len(cellNames)]string {
	return [...]string{
		r.Name, fmt.Sprint(r.Version), fmt.Sprint(r.Enabled), r.InvalidReason, r.ManagedBy, r.Trigger, stamp(r.Anchor), r.Policy,
		stamp(&r.EffectiveFrom), stamp(&r.TriggerSetAt), stamp(&r.CreatedAt), stamp(&r.UpdatedAt), stamp(r.DeletedAt),
		r.Category, strings.Join(r.Tags, "\x01"), r.Definition, r.Task,
		stamp(r.PausedAt), stamp(r.PausedUntil), stamp(r.SkipUntil), stamp(r.CompletedAt), r.PausedBy, r.PauseReason, r.PauseGroup, r.SkippedBy, r.SkipReason,
	}
}

func stamp(t *time.Time) string {
	if t == nil {
		return "null"
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}
