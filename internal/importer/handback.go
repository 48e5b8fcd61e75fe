package importer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// importedRunsSQL reads the last runs of the schedules of a source, including deleted schedules.
const importedRunsSQL = `
select s.name, s.definition, r.last, (select watermark from tactus.leases where name = 'beat'
    and watermark > s.effective_from), (s.enabled or s.completed_at is not null and s.paused_at is null) and s.deleted_at is null
from tactus.schedules s
cross join lateral (
    select max(fired_at) as last from tactus.runs
    where schedule_id = s.id and kind = 'scheduled' and status not in ('missed', 'skipped', 'excluded') and not waiting
) r
where s.tags @> array[$1] order by s.name`

type importedRun struct {
	Name       string
	Definition []byte
	Last       *time.Time // its last run here; nil when it never ran
	Settled    *time.Time // the watermark of the beat; nil when no beat has settled any of its due times
	Enabled    bool       // and not deleted
}

const importedFromSQL = `
select distinct substr(tag, length($1) + 1) from (select unnest(tags) as tag from tactus.schedules) known
where starts_with(tag, $1) order by 1`

// ImportedFrom returns the labels of the sources of a kind from which schedules came, including deleted schedules.
func ImportedFrom(ctx context.Context, pool *pgxpool.Pool, kind string) (labels []string, err error) {
	rows, err := pool.Query(ctx, importedFromSQL, Source{Kind: kind}.tag()+":")
	if err != nil {
		return nil, fmt.Errorf("read the sources of schedules: %w", err)
	}
	if labels, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, fmt.Errorf("read the sources of schedules: %w", err)
	}
	return labels, nil
}

// HandBackRedBeat writes the last run to each entry of RedBeat that was imported and still exists, so that RedBeat's
// beat sends nothing again. It returns the names of the entries that it wrote to. prefix is RedBeat's prefix of keys.
func HandBackRedBeat(ctx context.Context, pool *pgxpool.Pool, source Source, client redis.UniversalClient,
	prefix string,
) (names []string, err error) {
	all, err := importedRuns(ctx, pool, source)
	if err != nil {
		return nil, err
	}
	keys, err := keysOfNames(ctx, client, prefix)
	if err != nil {
		return nil, fmt.Errorf("read RedBeat: %w", err)
	}
	for _, r := range all {
		key := prefix + r.Name
		for _, name := range source.namesOf(r.Name) {
			if listed, ok := keys[name]; ok {
				key = listed
				break
			}
		}
		said, err := r.handBack(ctx, client, key)
		if err != nil {
			return names, fmt.Errorf("hand %s back: %w", r.Name, err)
		}
		if said {
			names = append(names, r.Name)
		}
	}
	return names, nil
}

func importedRuns(ctx context.Context, pool *pgxpool.Pool, source Source) ([]importedRun, error) {
	rows, err := pool.Query(ctx, importedRunsSQL, source.tag())
	if err != nil {
		return nil, fmt.Errorf("read what has run: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[importedRun])
	if err != nil {
		return nil, fmt.Errorf("read what has run: %w", err)
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

// handBack writes the last run to an entry, if the entry exists, and reports whether it wrote. RedBeat's own last run
// stays when it is later, unless RedBeat would then send at once a due time that was settled here without a run. The
// other members of RedBeat's notes stay as they are.
func (r importedRun) handBack(ctx context.Context, client redis.UniversalClient, key string) (said bool, err error) {
	var d domain.Definition
	if err := json.Unmarshal(r.Definition, &d); err != nil {
		return false, err
	}
	fields, err := client.HMGet(ctx, key, "definition", "meta").Result()
	if err != nil || fields[0] == nil {
		return false, err
	}
	meta, _ := fields[1].(string) // absent when it never ran
	theirs, last := lastRun(meta), r.Last
	if !theirs.IsZero() && (last == nil || theirs.After(*last)) {
		last = &theirs
	}
	if r.Settled != nil && r.Enabled {
		last = oldbeat.LastRun(d, last, *r.Settled)
	}
	if last == nil || r.Last == nil && last.Equal(theirs) {
		return false, nil
	}
	noted := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(meta), &noted); meta != "" && err != nil {
		return false, errors.New("its meta is not JSON: correct it, or delete the field")
	}
	noted["last_run_at"] = redBeatTimeText(*last)
	text, err := json.Marshal(noted)
	if err != nil {
		return false, err
	}
	return true, client.HSet(ctx, key, "meta", text).Err()
}

// redBeatTimeText returns a time in RedBeat's JSON.
func redBeatTimeText(at time.Time) json.RawMessage {
	at = at.UTC()
	return encode(map[string]any{
		"__type__": "datetime", "year": at.Year(), "month": int(at.Month()), "day": at.Day(), "hour": at.Hour(),
		"minute": at.Minute(),
		"second": at.Second(), "microsecond": at.Nanosecond() / 1000, "timezone": "UTC",
	})
}
