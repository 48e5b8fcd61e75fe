package catalog

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
)

// RunFilter selects runs. Zero members select all. Task, Queue and Tags are those of the run's schedule as it is now,
// so they do not find runs of deleted schedules.
type RunFilter struct {
	Statuses     []domain.RunStatus // any of them
	Kind         domain.RunKind
	Schedule     *domain.ID
	Task         string
	Queue        string
	Tags         []string // all of them
	Worker       string
	Error        string // a part of the error; case does not matter
	DueFrom      *time.Time
	DueTo        *time.Time // exclusive
	FinishedFrom *time.Time
	FinishedTo   *time.Time // exclusive

	scope access.Scope // of the request
}

// longestRun is how long before FinishedFrom a run may have been due, unless DueFrom is given. Runs are read in the
// order of their due times; without this bound, the search would go on to the oldest run.
const longestRun = 7 * 24 * time.Hour

// ahead is how long after FinishedTo a run may have been due, because the clock of its worker may be behind.
const ahead = 24 * time.Hour

// The range of due times that are listed. Rows written by hand may have others.
var (
	earliestDue = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	latestDue   = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// bySchedule reports whether choosing runs takes reading their schedules.
func (f RunFilter) bySchedule() bool { return f.Queue != "" || f.byNames() }

// byNames reports whether the task, the tags or the scope select runs by what their schedules are called.
func (f RunFilter) byNames() bool { return f.Task != "" || len(f.Tags) > 0 || len(f.scope) > 0 }

// troubled are the states in which a run has an error or a reason (see migration 57).
var troubled = []domain.RunStatus{
	domain.Failed, domain.Revoked, domain.Expired, domain.Skipped, domain.MissedRun, domain.Unknown,
}

// onlyTroubled reports whether all chosen runs have an error or a reason.
func (f RunFilter) onlyTroubled() bool {
	if f.Error != "" {
		return true
	}
	for _, status := range f.Statuses {
		if !slices.Contains(troubled, status) {
			return false
		}
	}
	return len(f.Statuses) > 0
}

// from returns the earliest due time of the chosen runs.
func (f RunFilter) from() time.Time {
	from := earliestDue
	if f.DueFrom != nil {
		from = *f.DueFrom
	} else if f.FinishedFrom != nil {
		from = f.FinishedFrom.Add(-longestRun)
	}
	return later(from, earliestDue)
}

// first returns the place before the newest of the chosen runs.
func (f RunFilter) first() place {
	to := latestDue
	if f.FinishedTo != nil {
		to = f.FinishedTo.Add(ahead)
	}
	if f.DueTo != nil && f.DueTo.Before(to) {
		to = *f.DueTo
	}
	if to.After(latestDue) {
		to = latestDue
	}
	return place{due: to}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (f RunFilter) args() pgx.NamedArgs {
	statuses := make([]string, len(f.Statuses))
	for i, status := range f.Statuses {
		statuses[i] = string(status)
	}
	return pgx.NamedArgs{
		"statuses": statuses, "kind": string(f.Kind), "worker": f.Worker, "error": f.Error,
		"finished_from": f.FinishedFrom, "finished_to": f.FinishedTo, "from": f.from(),
		"task": f.Task, "queue": f.Queue, "tags": append([]string{}, f.Tags...), "by_schedule": f.bySchedule(),
		"scope_tags": f.scope.Tags(), "scope_names": f.scope.Prefixes(),
	}
}

// place is the position of a run in lists, which are sorted with the latest due time first.
type place struct {
	due time.Time
	id  domain.ID
}

// ErrPageToken is returned for a token that did not come from a list.
var ErrPageToken = &domain.Error{
	Kind: domain.Invalid, Code: "page_token_invalid", Field: "page_token",
	Message: "this is no next_page_token of this list: begin again without it",
}

func (p place) String() string {
	raw := binary.BigEndian.AppendUint64(nil, uint64(p.due.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(raw, p.id[:]...))
}

func parsePlace(token string) (p place, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil || len(raw) != 8+len(p.id) {
		return p, ErrPageToken
	}
	p.due = time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC()
	copy(p.id[:], raw[8:])
	if p.due.Before(earliestDue) || p.due.After(latestDue.Add(time.Second)) {
		return p, ErrPageToken
	}
	return p, nil
}
