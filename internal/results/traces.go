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

// Traces records the ends of runs in traces. Its method must not block.
type Traces interface {
	// Ended records the end of a run, after the end was written to the database.
	Ended(Ended)
}

// Ended describes the end of a run.
type Ended struct {
	Run      domain.ID
	Trace    string // the context (W3C's traceparent) in the run's event; "" if it has none
	Status   domain.RunStatus
	Runtime  *time.Duration // nil when it is not known
	Left     time.Time      // when the worker stored the result, by its own clock; or else when recording began
	Recorded time.Time

	byHand time.Time // when the run was fired, if it was fired by hand
}

// longestLag bounds how long a result can have waited to be recorded, since that is computed from a worker's clock.
const longestLag = time.Hour

// end returns the Ended of a run, from the columns that the recording statement returned.
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

// mostByHand is how many manual runs are looked up in the log for one statement, since each takes some milliseconds.
// The traces of further ones lack their ends.
const mostByHand = 20

// tell records ends in traces. The trace contexts of manual runs are in the events of these runs.
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
