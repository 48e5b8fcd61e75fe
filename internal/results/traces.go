package results

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/sqlexpr"
)

// Traces records in traces how runs have ended. It waits for nobody.
type Traces interface {
	// Ended is told of a run whose end has been recorded.
	Ended(Ended)
}

// Ended is how a run has ended.
type Ended struct {
	Run      domain.ID
	Trace    string // the context (W3C's traceparent) that its event has; "" when it has none
	Status   domain.RunStatus
	Runtime  *time.Duration // nil when it is not known
	Left     time.Time      // when the worker left the result, as it says; or when recording began
	Recorded time.Time

	byHand time.Time // when it was fired, if somebody did it by hand
}

// longestLag is how long a result may have waited to be recorded, as its worker says by a clock of its own.
const longestLag = time.Hour

// end returns how a run has ended, by what the statement says that has recorded it.
func end(run domain.ID, status domain.RunStatus, runtime, lag *time.Duration, byHand *time.Time,
	began time.Time,
) Ended {
	e := Ended{
		Run: run, Status: status, Runtime: runtime, Left: began, Recorded: time.Now(), byHand: postgres.OrZero(byHand),
	}
	if lag != nil && *lag > 0 && *lag < longestLag {
		e.Left = e.Recorded.Add(-*lag)
	}
	return e
}

// traceOfRunSQL reads the headers of the event of a run.
const traceOfRunSQL = sqlexpr.NearFiring + `
select coalesce(headers::text, '')` + sqlexpr.FromNearFiring

// mostByHand is how many runs by hand are looked up in the log for a statement: each takes some milliseconds. The ends
// of more are missing in their traces.
const mostByHand = 20

// tell records ends in traces. The traces of runs by hand stand in their events.
func (c *Collector) tell(ctx context.Context, ends []Ended) {
	looked := 0
	for _, e := range ends {
		if !e.byHand.IsZero() {
			if looked++; looked > mostByHand {
				continue
			}
			var err error
			if e.Trace, err = c.traceOf(ctx, e); err != nil {
				c.log.Debug("traces lack how a run has ended", "run_id", e.Run, "err", err)
				continue
			}
		}
		c.cfg.Traces.Ended(e)
	}
}

func (c *Collector) traceOf(ctx context.Context, e Ended) (string, error) {
	found, err := postgres.Collect(ctx, c.pool, pgx.RowTo[string], traceOfRunSQL, pgx.QueryExecModeExec,
		pgx.NamedArgs{"id": e.Run, "fired_at": e.byHand})
	var h struct {
		TraceParent string `json:"traceparent"`
	}
	if err == nil && len(found) > 0 && found[0] != "" {
		err = json.Unmarshal([]byte(found[0]), &h)
	}
	return h.TraceParent, err
}
