// Package unsent looks for runs that have been recorded and not handed over, before schedules go back to an old beat.
//
// A run counts as run when it is recorded, because the relay hands it over sooner or later. While no relay does, it
// would be sent by neither: the old beat takes it for run. So a way back is refused while there are such runs. They can
// be cancelled instead, and count as not run then: the old beat sends them, and no relay will.
package unsent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/revoke"
	"github.com/tactus-dev/tactus/internal/wait"
)

// Cancelled is the condition of runs that have been cancelled before they were handed over.
const Cancelled = `status = 'revoked' and sent_at is null and reason = '` + domain.ReasonCancelled + `'`

// Error refuses the way back, because runs are recorded and have not been handed over.
type Error struct {
	Runs  int
	Names []string // of their schedules
}

// mostNames is how many schedules an error names.
const mostNames = 10

func (e *Error) Error() string {
	names := e.Names
	if more := len(names) - mostNames; more > 0 {
		names = append(slices.Clone(names[:mostNames]), fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("runs that are due have not been handed over (%d, of %s): the old beat would take them for run; start the "+
		"relay, and try again when they have been handed over, or have the old beat send them by --cancel-unsent, which "+
		"cancels them here", e.Runs, strings.Join(names, ", "))
}

const (
	attempts = 5
	pause    = time.Second
)

// Settle returns once no runs are left to hand over of the schedules that meet a condition on the table s, with one
// argument. It cancels them if cancel says so. Otherwise it gives a relay some seconds, and then returns an *Error.
func Settle(ctx context.Context, pool *pgxpool.Pool, condition string, arg any, cancel bool) error {
	for attempt := 1; ; attempt++ {
		runs, names, err := open(ctx, pool, condition, arg)
		switch {
		case err != nil:
			return fmt.Errorf("look for runs that were not handed over: %w", err)
		case len(runs) == 0:
			return nil
		case attempt == attempts:
			return &Error{Runs: len(runs), Names: names}
		case cancel:
			for some := range slices.Chunk(runs, revoke.MaxCancelled) {
				if _, err := revoke.Cancel(ctx, pool, revoke.Order{IDs: some}); err != nil {
					return err
				}
			}
			if attempt == 1 { // nobody waits where all could be cancelled
				continue
			}
		}
		if err := wait.For(ctx, pause); err != nil {
			return err
		}
	}
}

// open returns the runs that have not been handed over, and the names of their schedules in order.
func open(
	ctx context.Context, pool *pgxpool.Pool, condition string, arg any,
) (runs []domain.ID, names []string, err error) {
	rows, err := pool.Query(ctx, `select r.id, s.name from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
		where r.status = 'due' and r.finished_at is null and r.kind = 'scheduled' and not r.waiting and `+condition+
		` order by s.name, r.due_at`, arg)
	if err != nil {
		return nil, nil, err
	}
	var id domain.ID
	var name string
	_, err = pgx.ForEachRow(rows, []any{&id, &name}, func() error {
		runs, names = append(runs, id), append(names, name)
		return nil
	})
	return runs, slices.Compact(names), err
}
