package bulk

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tactus-dev/tactus/domain"
)

// MostRerun is the most runs that one request runs again. Each is a transaction of its own.
const MostRerun = 100

// Again is the new run of a task that runs again.
type Again struct {
	RunID  domain.ID
	TaskOf string // "run", or "schedule" where the log of the former run is no longer kept
}

// Rerun creates a run with the task of another run. A repeated call with the same key creates no further run.
func (c Changer) Rerun(ctx context.Context, id domain.ID, key string) (Again, error) {
	run, err := c.Catalog.RunDetail(ctx, id)
	if err != nil {
		return Again{}, err
	}
	var task domain.Task
	if err := json.Unmarshal(run.Task, &task); err != nil {
		return Again{}, &domain.Error{
			Kind: domain.Conflict, Code: "task_unreadable",
			Message: fmt.Sprintf("the task of the run cannot be read, so it cannot run again: %v", err),
		}
	}
	again, err := c.Store.Rerun(ctx, run.ScheduleID, id, task, key)
	return Again{again, run.TaskOf}, err
}
