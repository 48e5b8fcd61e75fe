package beat

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// refusal is a decision that PostgreSQL refuses to settle by itself, for its data as it seems.
type refusal struct {
	decision memory.Decision
	err      error
}

// code is PostgreSQL's.
func (r refusal) code() string {
	e, _ := errors.AsType[*pgconn.PgError](r.err)
	return e.Code
}

// refusals tell bad data from a statement that refuses everything, such as one whose table was given a trigger that
// fails. In the first case the due times are set aside, so that they are not tried for ever. In the second that would
// lose every due time there is, so they are kept and tried again.
//
// Everything seems to be refused when nothing fired beside what was refused, all of it has one code, and more than one
// schedule was refused since anything fired. A schedule that is still refused after something has fired is bad itself.
type refusals struct {
	fired    int64                   // firings that fired anything
	suspects map[domain.ID]suspicion // schedules that were refused lately
	failures failureLog
}

// firingRefused are the refusals by each of the statements that fire: one may fail where the other does not.
type firingRefused struct{ plain, counted refusals }

// suspicion is when a schedule was first refused, counted in firings, and by which code.
type suspicion struct {
	fired int64
	code  string
}

func newRefusals(log *slog.Logger) refusals {
	return refusals{suspects: map[domain.ID]suspicion{}, failures: failureLog{
		log: log, level: slog.LevelError, what: "PostgreSQL refuses whatever is fired: it is kept, and tried again",
	}}
}

// judge returns which refusals are for bad data, and which are kept.
func (s *refusals) judge(out outcome) (bad, kept []refusal) {
	if out.Fired > 0 {
		s.fired++
		s.failures.recovered()
	}
	s.note(out.refused)
	everything := out.Fired == 0 && s.refusesEverything()
	for _, r := range out.refused {
		if everything && s.suspects[r.decision.Schedule].fired == s.fired {
			kept = append(kept, r)
		} else {
			bad = append(bad, r)
		}
	}
	if len(kept) > 0 {
		s.failures.report(fmt.Errorf("schedule %s: %w", kept[0].decision.Schedule, kept[0].err))
	}
	return bad, kept
}

// note suspects the schedules that were refused, and no longer those that were refused before something fired, unless
// they are refused again.
func (s *refusals) note(refused []refusal) {
	before := s.suspects
	s.suspects = map[domain.ID]suspicion{}
	for id, was := range before {
		if was.fired == s.fired {
			s.suspects[id] = was
		}
	}
	for _, r := range refused {
		was, known := before[r.decision.Schedule]
		if !known {
			was = suspicion{s.fired, r.code()}
		}
		s.suspects[r.decision.Schedule] = was
	}
}

// refusesEverything reports whether more than one schedule is suspected, all by one code.
func (s *refusals) refusesEverything() bool {
	codes := map[string]bool{}
	for _, was := range s.suspects {
		codes[was.code] = true
	}
	return len(s.suspects) > 1 && len(codes) == 1
}
