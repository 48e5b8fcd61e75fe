package outbox

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/tactus-dev/tactus/domain"
)

// Rerun makes a manual run of a schedule now with the task of another run, under the policy that the schedule has now.
// A repeated call with the same key makes no other run.
func (s *Store) Rerun(ctx context.Context, id, run domain.ID, task domain.Task, key string) (domain.ID, error) {
	if err := s.mayRun(ctx, id); err != nil {
		return domain.ID{}, err
	}
	if err := s.judgeFirst(ctx, id); err != nil {
		return domain.ID{}, err
	}
	encoded, err := json.Marshal(task)
	if err != nil {
		return domain.ID{}, fmt.Errorf("run again: %w", err)
	}
	for {
		schedule, err := s.Get(ctx, id)
		if err != nil {
			return domain.ID{}, err
		}
		schedule.ExpiresSeconds = task.ExpiresSeconds
		own := &ownTask{string(encoded), schedule.Policy().String(), schedule.Version}
		again, made, err := s.trigger(ctx, id, Manual{
			With: []byte("again " + run.String()), Key: key, again: run.String(),
		}, own)
		if made || err != nil {
			return again, err
		}
		if err := s.whyNoRun(ctx, id); err != nil {
			return domain.ID{}, err
		}
	}
}
