package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// states counts the runs of a schedule by status. The status of a waiting run has a reason.
func (s *stack) states(schedule string) map[string]int {
	counts := map[string]int{}
	for _, r := range s.history(schedule) {
		status := r.Status
		if status == "due" && strings.Contains(r.Reason, "waits") {
			status = "waiting"
		}
		counts[status]++
	}
	return counts
}

// TestOverlap blocks the first run of a schedule that is due every second. With skip no other run starts; with queue
// one run waits, and starts as soon as the first has ended.
func TestOverlap(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	s.work("--concurrency", "4")
	skips := s.create(`"interval_seconds": 1, "task_name": "app.hold", "execution_policy": "skip"`)
	queues := s.create(`"interval_seconds": 1, "task_name": "app.hold", "execution_policy": "queue"`)
	awaitStates := func(schedule, what string, ok func(map[string]int) bool) {
		t.Helper()
		testenv.Eventually(t, what, func() error {
			if counts := s.states(schedule); !ok(counts) {
				return fmt.Errorf("runs: %v", counts)
			}
			return nil
		})
	}
	awaitStates(skips, "one runs, others are skipped", func(n map[string]int) bool { return n["started"] == 1 && n["skipped"] >= 3 && len(n) == 2 })
	awaitStates(queues, "one runs, one waits, others are skipped", func(n map[string]int) bool {
		return n["started"] == 1 && n["waiting"] == 1 && n["skipped"] >= 2 && len(n) == 3
	})
	if began := s.list("began", 2); len(began) != 2 {
		t.Errorf("%d runs have begun", len(began))
	}
	for _, task := range s.list("began", 2) {
		if err := s.client.RPush(t.Context(), "go:"+task, 1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	awaitStates(skips, "the next one runs", func(n map[string]int) bool { return n["succeeded"] == 1 && n["started"] == 1 })
	awaitStates(queues, "the one that waited runs", func(n map[string]int) bool { return n["succeeded"] == 1 && n["started"] == 1 && n["waiting"] <= 1 })
	if began := s.list("began", 4); len(began) != 4 {
		t.Errorf("%d runs have begun", len(began))
	}
}
