package outbox

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// Projection is what a row of tactus.schedules repeats of its schedule, in the canonical form that readers expect.
type Projection struct {
	Enabled    bool // whether it fires: a schedule that is invalid does not
	Trigger    string
	Anchor     *time.Time
	Policy     string
	Category   string
	Tags       []string
	Definition string
	Task       string
}

// Project derives the projection of a schedule. Whatever writes or checks such a row does it by this.
func Project(s domain.Schedule) (Projection, error) {
	definition, err := json.Marshal(s.Definition)
	if err != nil {
		return Projection{}, fmt.Errorf("encode definition: %w", err)
	}
	task, err := json.Marshal(s.Task())
	if err != nil {
		return Projection{}, fmt.Errorf("encode task: %w", err)
	}
	trigger, anchor := s.Trigger()
	return Projection{
		Enabled: s.Runnable(),
		Trigger: trigger.String(), Anchor: postgres.OrNull(anchor), Policy: s.Policy().String(),
		Category: s.Category, Tags: append([]string{}, s.Tags...), Definition: string(definition), Task: string(task),
	}, nil
}
