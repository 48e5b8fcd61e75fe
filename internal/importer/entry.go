package importer

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// Entry is one schedule of a source.
type Entry struct {
	Definition  domain.Definition    // as the source has it, not normalized
	numbered    bool                 // whether entries with the same name are kept apart by numbers
	Typed       string               // its cron expression as its author wrote it; empty when it is not Celery's
	LastRun     time.Time            // zero when it never ran
	continued   bool                 // whether its interval goes on from the last run, which is later at each import
	Refused     string               // why it cannot be imported; empty when it can
	Notes       []string             // remarks for the user
	Differences []oldbeat.Difference // ways in which tactus runs it differently from the old beat
	clocks      string               // the zone by whose clocks the old beat counts intervals; empty when not known
	celery      oldbeat.Release      // of the old beat; empty when it is not known
	expected    *expected            // what Celery's own beat would do; nil when Celery was not asked
}

func (e *Entry) differ(kind, message string) {
	e.Differences = append(e.Differences, oldbeat.Difference{Code: kind, Message: message})
}

// Source is where entries come from: the kind of place, and a label for the place. Schedules carry both in a tag, so
// that imports from two files, hosts or applications do not change or prune each other's schedules.
type Source struct {
	Kind, Label string
	Group       string // of the pause with which its schedules were disabled to be handed back; empty for none

	// whether runs that were not handed over are cancelled and left to the old beat when it is handed back
	CancelUnsent bool
}

// The kinds of places.
const (
	RedBeat = "redbeat"
	Celery  = "celery"
	Crontab = "crontab"
)

// Tag returns the tag of schedules from the source.
func (s Source) Tag() string {
	if s.Label == "" {
		return SourcePrefix + s.Kind
	}
	return SourcePrefix + s.Kind + ":" + s.Label
}

// SourcePrefix begins the tags of all sources.
const SourcePrefix = "import:"

// originMark is before the part of a label that tells two sources of one name apart.
const originMark = "@"

const otherOriginsSQL = `
select distinct substr(tag, length($1) + 1) from (
    select unnest(tags) as tag from tactus.schedules where deleted_at is null
    union all select source from tactus.routes where deleted_at is null
) known
join unnest($2::text[]) name on tag = $1 || name or starts_with(tag, $1 || name || '@') order by 1`

// OtherOrigins returns the labels of other sources that have one of the names, with or without an origin behind it, and
// of which there are schedules or routes. It returns none when there are some of this source: then it is known to be
// another one. Another prefix in the same database of Redis is another source.
func (i *Importer) OtherOrigins(ctx context.Context, names ...string) (labels []string, err error) {
	kind := Source{Kind: i.source.Kind}.Tag() + ":"
	labels, err = queryAll(ctx, i.pool, otherOriginsSQL, pgx.RowTo[string], kind, names)
	if err != nil {
		return nil, fmt.Errorf("read the sources of schedules: %w", err)
	}
	if slices.Contains(labels, i.source.Label) {
		return nil, nil
	}
	if i.source.Kind == RedBeat {
		labels = slices.DeleteFunc(labels, func(label string) bool {
			return strings.HasPrefix(label, i.source.Label+originMark)
		})
	}
	return labels, nil
}
