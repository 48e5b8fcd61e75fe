package relay

import (
	"bytes"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// The data of a run's event begins with these texts, each followed by its value, as tactus.run_due writes it.
var ofSchedule, ofRun, dueAt = []byte(`{"schedule_id":"`), []byte(`","run_id":"`), []byte(`","due_at":"`)

const idLength = 36

// dueOf returns the due time of a run, which is part of the run's key, from its event. It returns the zero time if the
// event does not begin as tactus.run_due writes it. Decoding the whole event would cost ten times as much.
func dueOf(row outbox.Row) time.Time {
	rest, ok := bytes.CutPrefix(row.Data, ofSchedule)
	if !ok || len(rest) < idLength {
		return time.Time{}
	}
	if rest, ok = bytes.CutPrefix(rest[idLength:], ofRun); !ok || !bytes.HasPrefix(rest, []byte(row.Aggregate.String())) {
		return time.Time{}
	}
	if rest, ok = bytes.CutPrefix(rest[idLength:], dueAt); !ok {
		return time.Time{}
	}
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	due, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return time.Time{}
	}
	return due
}

// givenRuns are the runs of a chunk that may be for the sink. Rows of other runs have no data.
type givenRuns struct {
	ids      []domain.ID
	versions []int64
	dues     []time.Time
}

func (c chunk) runs() (g givenRuns) {
	for i, row := range c.rows {
		if row.Data != nil {
			g.ids, g.versions = append(g.ids, row.Aggregate), append(g.versions, row.Version)
			g.dues = append(g.dues, c.dues[i])
		}
	}
	return g
}

// dueBounds returns the earliest and the latest of some due times. Statements that find runs by their ids also demand
// these bounds, so that the planner excludes the partitions of other months, one of which may be locked. If a due time
// is not known (zero), the bounds exclude nothing. If there are no due times, both bounds are now: the statement has to
// look at some partition, and the current one is in use anyway.
func dueBounds(dues []time.Time) (first, last pgtype.Timestamptz) {
	at := func(t time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: t, Valid: true} }
	switch {
	case len(dues) == 0:
		now := time.Now()
		return at(now), at(now)
	case slices.ContainsFunc(dues, time.Time.IsZero):
		first, last = at(time.Time{}), at(time.Time{})
		first.InfinityModifier, last.InfinityModifier = pgtype.NegativeInfinity, pgtype.Infinity
		return first, last
	}
	return at(slices.MinFunc(dues, time.Time.Compare)), at(slices.MaxFunc(dues, time.Time.Compare))
}
