package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// ownTask is what a manual run has in place of its schedule's task and policy, and the version of the schedule that
// both were made of.
type ownTask struct {
	task, policy string
	version      int64
}

// ownTask returns the task of a run that says something otherwise than its schedule, and nil where it does not.
func (s *Store) ownTask(ctx context.Context, id domain.ID, with []byte) (*ownTask, error) {
	if len(with) == 0 {
		return nil, nil
	}
	schedule, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if schedule.InvalidReason != "" {
		return nil, invalidToRun(schedule)
	}
	definition, err := schedule.ForRun(with, s.check)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(definition.Task())
	if err != nil {
		return nil, fmt.Errorf("trigger: %w", err)
	}
	same, err := json.Marshal(schedule.Task())
	if err != nil {
		return nil, fmt.Errorf("trigger: %w", err)
	}
	if bytes.Equal(encoded, same) {
		return nil, nil
	}
	return &ownTask{string(encoded), definition.Policy().String(), schedule.Version}, nil
}

// statement returns the statement that makes the run, and adds what it needs beside the arguments of triggerRun.
func (o *ownTask) statement(args pgx.NamedArgs) string {
	args["task"], args["policy"], args["version"] = o.task, o.policy, o.version
	return triggerOwnRun
}

const triggerOwnRun = triggered + `
    select id, name, version, @task::json as task, @policy::text as policy from tactus.schedules
    where id = @id and deleted_at is null and invalid_reason is null and version = @version::bigint
        and octet_length(@task::text) <= @largest::bigint
),
run as (
    insert into tactus.runs (` + runColumns + `, task) select ` + runValues + `, s.task from s, moment
    returning id, due_at
),` + recorded
