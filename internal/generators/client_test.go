//go:build generated

package generators

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"testing"
)

// TestClient does with a generated client what people do.
func TestClient(t *testing.T) {
	c, err := NewClientWithResponses(os.Getenv("TACTUS_URL"))
	if err != nil {
		t.Fatal(err)
	}
	name, cron, skip := "by-client", "30 9 * * mon-fri", ScheduleDefinitionExecutionPolicySkip
	args := []any{"a", 1}
	made, err := c.CreateScheduleWithResponse(t.Context(), nil, CreateScheduleJSONRequestBody{
		Name: &name, CronExpression: &cron, TaskName: "app.hello", Args: &args, Kwargs: &map[string]any{"to": "all"}, ExecutionPolicy: &skip,
	})
	if err != nil || made.JSON201 == nil {
		t.Fatalf("%v: %s", err, made.Body)
	}
	schedule := *made.JSON201
	if schedule.Name != name || !schedule.Enabled || len(schedule.Args) != 2 || schedule.Kwargs["to"] != "all" {
		t.Errorf("made %+v", schedule)
	}
	// null takes a member away, which a generated type cannot tell from absence: such a body is written by hand.
	patched, err := c.PatchScheduleWithBodyWithResponse(t.Context(), schedule.Id, nil, "application/json", bytes.NewReader([]byte(`{"kwargs":null}`)))
	if err != nil || patched.JSON200 == nil || len(patched.JSON200.Kwargs) != 0 || patched.JSON200.Version != 2 {
		t.Fatalf("%v: %s", err, patched.Body)
	}
	again, err := c.PutScheduleByNameWithResponse(t.Context(), name, PutScheduleByNameJSONRequestBody{CronExpression: &cron, TaskName: "app.other"})
	if err != nil || again.JSON200 == nil || again.JSON200.TaskName == nil || *again.JSON200.TaskName != "app.other" {
		t.Fatalf("%v: %s", err, again.Body)
	}
	other, err := c.PutScheduleByNameWithResponse(t.Context(), "another", PutScheduleByNameJSONRequestBody{CronExpression: &cron, TaskName: "app.other"})
	if err != nil || other.JSON201 == nil {
		t.Fatalf("%v: %s", err, other.Body)
	}
	run, err := c.TriggerScheduleWithResponse(t.Context(), schedule.Id, nil, TriggerScheduleJSONRequestBody{Kwargs: &map[string]any{"to": "me"}})
	if err != nil || run.JSON202 == nil {
		t.Fatalf("%v: %s", err, run.Body)
	}
	detail, err := c.GetRunWithResponse(t.Context(), run.JSON202.RunId)
	if err != nil || detail.JSON200 == nil || detail.JSON200.ScheduleId != schedule.Id {
		t.Fatalf("%v: %s", err, detail.Body)
	}
	var days []CalendarItem
	if err := json.Unmarshal([]byte(`["2041-01-01", {"from": "2041-05-03", "to": "2041-05-05"}]`), &days); err != nil {
		t.Fatal(err)
	}
	calendar, err := c.PutCalendarWithResponse(t.Context(), "closed", nil, PutCalendarJSONRequestBody{Days: &days})
	if err != nil || calendar.JSON201 == nil && calendar.JSON200 == nil {
		t.Fatalf("%v: %s", err, calendar.Body)
	}
	refused, err := c.CreateScheduleWithResponse(t.Context(), nil, CreateScheduleJSONRequestBody{TaskName: "app.hello"})
	if err != nil || refused.ApplicationproblemJSON422 == nil || refused.ApplicationproblemJSON422.Errors[0].Code != "trigger_missing" {
		t.Fatalf("%v: %s", err, refused.Body)
	}
	for _, s := range []string{schedule.Id, other.JSON201.Id} {
		gone, err := c.DeleteScheduleWithResponse(t.Context(), s, nil)
		if err != nil || gone.StatusCode() != http.StatusNoContent {
			t.Fatalf("%v: %s", err, gone.Body)
		}
	}
}
