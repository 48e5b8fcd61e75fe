package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/internal/unsent"
)

// importedRunsSQL reads the last runs of the schedules of a source, including deleted schedules. Of a name the living
// schedule comes first, and then what was deleted last.
const importedRunsSQL = `
select s.name, s.definition, r.last, (select w.settled from tactus.leases l, lateral (
        select least(l.watermark, (select min(due_at) - interval '1 microsecond' from tactus.runs where $2 and schedule_id = s.id
            and kind = 'scheduled' and ` + unsent.Cancelled + ` and fired_at > coalesce(r.last, '-infinity'))) as settled) w
    where l.name = 'beat' and w.settled > s.effective_from), (s.enabled or s.completed_at is not null and s.paused_at is null) and s.deleted_at is null,
    s.deleted_at is not null, s.paused_at is not null, s.completed_at is not null, s.paused_until, s.skip_until,
    coalesce(s.pause_group, '')
from tactus.schedules s
cross join lateral (
    select max(fired_at) as last from tactus.runs
    where schedule_id = s.id and kind = 'scheduled' and status not in ('missed', 'skipped', 'excluded') and not waiting
        and not ($2 and ` + unsent.Cancelled + `)
) r
where s.tags @> array[$1] order by s.name, s.deleted_at desc nulls first`

type importedRun struct {
	Name       string
	Definition []byte
	Last       *time.Time // its last run here; nil when it never ran
	Settled    *time.Time // the watermark of the beat; nil when no beat has settled any of its due times
	Enabled    bool       // and not deleted

	Deleted, Paused, Completed bool
	PausedUntil, SkipUntil     *time.Time
	PauseGroup                 string
}

// definition returns what the schedule says.
func (r importedRun) definition() (d domain.Definition, err error) {
	err = json.Unmarshal(r.Definition, &d)
	return d, err
}

// off reports whether the schedule is to be run by nobody: it is disabled, or has come to an end that only tactus
// knows.
func (r importedRun) off(d domain.Definition) bool {
	return r.Deleted || r.Paused || r.Completed && (d.MaxRuns != 0 || d.EndsAt != "" && d.RRule == "")
}

// lost lists what of the schedule its old beat does not do.
func (r importedRun) lost(d domain.Definition) []string {
	if r.Deleted {
		return nil
	}
	var h domain.Halt
	if r.PausedUntil != nil {
		h.PausedUntil = *r.PausedUntil
	}
	if r.SkipUntil != nil {
		h.SkipUntil = *r.SkipUntil
	}
	return oldbeat.Cannot(d, h, time.Now())
}

const importedFromSQL = `
select distinct substr(tag, length($1) + 1) from (select unnest(tags) as tag from tactus.schedules) known
where starts_with(tag, $1) order by 1`

// ImportedFrom returns the labels of the sources of a kind from which schedules came, including deleted schedules.
func ImportedFrom(ctx context.Context, pool *pgxpool.Pool, kind string) (labels []string, err error) {
	rows, err := pool.Query(ctx, importedFromSQL, Source{Kind: kind}.Tag()+":")
	if err != nil {
		return nil, fmt.Errorf("read the sources of schedules: %w", err)
	}
	if labels, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("read the sources of schedules: %w", err)
	}
	return labels, nil
}

// HandedBack is what became of one schedule that goes back to its old beat.
type HandedBack struct {
	Name    string
	Written bool     // its old beat now knows when it ran last
	Told    []string // what its old beat does otherwise, or cannot do
	Failed  bool     // nothing was written because of what Told says
}

func (h *HandedBack) tell(format string, args ...any) {
	h.Told = append(h.Told, fmt.Sprintf(format, args...))
}

// HandBackRedBeat writes the last run to each entry of RedBeat that was imported and still exists, so that RedBeat's
// beat sends nothing again, and whether it is enabled. prefix is RedBeat's prefix of keys, and timezone the
// application's zone, or empty to go by RedBeat's notes and the zones of the schedules. It returns the zone in which it
// has noted the last runs.
func HandBackRedBeat(ctx context.Context, pool *pgxpool.Pool, source Source, client redis.UniversalClient,
	prefix, timezone string,
) (handed []HandedBack, in NoteZone, err error) {
	all, err := importedRuns(ctx, pool, source)
	if err != nil {
		return nil, in, err
	}
	keys, err := keysOfNames(ctx, client, prefix)
	if err != nil {
		return nil, in, fmt.Errorf("read RedBeat: %w", err)
	}
	notes, err := notesOf(ctx, client, slices.Collect(maps.Values(keys)))
	if err != nil {
		return nil, in, fmt.Errorf("read RedBeat: %w", err)
	}
	if in, err = noteZone(timezone, all, notes); err != nil {
		return nil, in, err
	}
	for _, r := range all {
		key := prefix + r.Name
		for _, name := range source.namesOf(r.Name) {
			if listed, ok := keys[name]; ok {
				key = listed
				delete(keys, name)
				break
			}
		}
		h, err := r.handBack(ctx, client, key, in)
		if err != nil {
			return handed, in, fmt.Errorf("hand %s back: %w", r.Name, err)
		}
		handed = append(handed, h)
	}
	for _, name := range sortedKeys(keys) {
		h := HandedBack{Name: name}
		h.tell("no schedule here came from this entry (it was refused, or made since, or the schedule was renamed): RedBeat " +
			"sends at once what is overdue by its own notes")
		handed = append(handed, h)
	}
	return handed, in, nil
}

func importedRuns(ctx context.Context, pool *pgxpool.Pool, source Source) ([]importedRun, error) {
	if err := unsent.Settle(ctx, pool, `s.tags @> array[$1]::text[]`, source.Tag(), source.CancelUnsent); err != nil {
		return nil, err
	}
	rows, err := pool.Query(ctx, importedRunsSQL, source.Tag(), source.CancelUnsent)
	if err != nil {
		return nil, fmt.Errorf("read what has run: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByPos[importedRun])
	if err != nil {
		return nil, fmt.Errorf("read what has run: %w", err)
	}
	var all []importedRun
	for _, r := range found {
		if source.Group != "" && r.PauseGroup == source.Group && r.Paused && !r.Deleted { // it is disabled to be handed back
			r.Enabled, r.Paused, r.PausedUntil = true, false, nil
		}
		if n := len(all) - 1; n >= 0 && all[n].Name == r.Name { // an earlier schedule of this name
			if r.Last != nil && (all[n].Last == nil || r.Last.After(*all[n].Last)) {
				all[n].Last = r.Last
			}
			continue
		}
		all = append(all, r)
	}
	return all, nil
}

// namesOf returns the names that the entry of a schedule may have at its source, the likelier one first.
func (s Source) namesOf(schedule string) []string {
	if own, ok := strings.CutSuffix(schedule, " ["+s.Label+"]"); ok {
		return []string{schedule, own}
	}
	return []string{schedule}
}

// keysOfNames returns the keys of RedBeat's entries by the names of their schedules, which have no spaces around them.
func keysOfNames(ctx context.Context, client redis.UniversalClient, prefix string) (map[string]string, error) {
	keys, err := redBeatKeys(ctx, client, prefix+":schedule")
	if err != nil {
		return nil, err
	}
	named := map[string]string{}
	for _, key := range keys {
		name := strings.TrimPrefix(key, prefix)
		if trimmed := strings.TrimSpace(name); trimmed == name || named[trimmed] == "" {
			named[trimmed] = key
		}
	}
	return named, nil
}

// handBack writes the last run to an entry, if the entry exists, and whether it is enabled. RedBeat's own last run
// stays when it is later, unless RedBeat would then send at once a due time that was settled here without a run. The
// other members of RedBeat's notes stay as they are. What cannot be written is told, and keeps back no other entry.
func (r importedRun) handBack(ctx context.Context, client redis.UniversalClient, key string, in NoteZone,
) (h HandedBack, err error) {
	h.Name = r.Name
	d, err := r.definition()
	if err != nil {
		return h, err
	}
	fields, err := client.HMGet(ctx, key, "definition", "meta").Result()
	switch {
	case ofAnotherType(err):
		h.Failed = true
		h.tell("the key %s is not a hash: RedBeat cannot read it", key)
		return h, nil
	case err != nil:
		return h, err
	case fields[0] == nil && r.Deleted:
		return h, nil
	case fields[0] == nil:
		h.tell("RedBeat has no entry of this name (any more), and will not send it")
		return h, nil
	}
	definition, _ := fields[0].(string)
	meta, _ := fields[1].(string) // absent when it never ran
	write := map[string]any{}
	if noted, ok := r.lastForRedBeat(d, meta, in, &h); ok {
		write["meta"] = noted
	}
	if defined, ok := r.switched(d, definition, &h); ok {
		write["definition"] = defined
	}
	for _, lost := range r.lost(d) {
		h.tell("RedBeat's beat cannot do what is said here: %s", lost)
	}
	if len(write) == 0 || h.Failed {
		return h, nil
	}
	_, h.Written = write["meta"]
	return h, client.HSet(ctx, key, write).Err()
}

// lastForRedBeat returns what RedBeat is to note of an entry's last run, or false when what it has noted may stay.
func (r importedRun) lastForRedBeat(d domain.Definition, meta string, in NoteZone, h *HandedBack) (string, bool) {
	theirs, last := lastRun(meta), r.Last
	if !theirs.IsZero() && (last == nil || theirs.After(*last)) {
		last = &theirs
	}
	if r.Settled != nil && r.Enabled {
		if last == nil { // RedBeat sends at once what never ran
			settled := oldbeat.SettledRun(d, *r.Settled)
			last = &settled
		}
		last = oldbeat.LastRun(d, last, *r.Settled)
	}
	if last == nil || r.Last == nil && last.Equal(theirs) {
		return "", false
	}
	noted := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(meta), &noted); meta != "" && err != nil {
		h.Failed = true
		h.tell("its meta is not JSON: correct it, or delete the field")
		return "", false
	}
	if noted == nil {
		noted = map[string]json.RawMessage{}
	}
	noted["last_run_at"] = in.text(*last)
	return string(encode(noted)), true
}

// switched returns the definition of an entry enabled or disabled as its schedule is here, or false when it is so. What
// was deleted here may have been made anew there: that is only told.
func (r importedRun) switched(d domain.Definition, definition string, h *HandedBack) (string, bool) {
	var said struct{ Enabled *bool }
	members := map[string]json.RawMessage{}
	err := errors.Join(json.Unmarshal([]byte(definition), &said), json.Unmarshal([]byte(definition), &members))
	if err != nil {
		h.Failed = true
		h.tell("its definition cannot be read: %v", err)
		return "", false
	}
	on, off := said.Enabled == nil || *said.Enabled, r.off(d)
	switch {
	case on != off:
		return "", false
	case r.Deleted:
		h.tell("it is deleted here, and RedBeat will send it: delete it there if it is to stay off")
		return "", false
	case off:
		h.tell("it is off here, and is disabled in RedBeat now; if it comes from the application's beat_schedule, take it " +
			"out there, because RedBeat's beat enables it again when it starts")
	default:
		h.tell("it was disabled in RedBeat, is on here, and is enabled in RedBeat now")
	}
	members["enabled"] = encode(!off)
	return string(encode(members)), true
}
