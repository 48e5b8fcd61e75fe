package domain

import "time"

// RunKind says why a run exists.
type RunKind string

// The kinds of runs.
const (
	Scheduled RunKind = "scheduled" // a due time
	Manual    RunKind = "manual"    // somebody asked for it
	Backfill  RunKind = "backfill"  // a past due time, asked for by hand
)

// RunStatus says how far a run has come.
type RunStatus string

// The states of a run. In Due, Sent, Started and Retrying it is unfinished: further reports may come.
const (
	Due       RunStatus = "due"
	Sent      RunStatus = "sent"
	Started   RunStatus = "started"
	Retrying  RunStatus = "retrying"
	Succeeded RunStatus = "succeeded"
	Failed    RunStatus = "failed"
	Revoked   RunStatus = "revoked"
	Expired   RunStatus = "expired"
	Skipped   RunStatus = "skipped"
	MissedRun RunStatus = "missed"
	Excluded  RunStatus = "excluded" // a due time, or a range of them, that calendars exclude
	Unknown   RunStatus = "unknown"
)

// DueRun is the data of a run.due event: what a sink needs to hand the run over.
type DueRun struct {
	ScheduleID   ID        `json:"schedule_id"`
	RunID        ID        `json:"run_id"`
	DueAt        time.Time `json:"due_at"`
	Kind         RunKind   `json:"kind"`
	ScheduleName string    `json:"schedule_name"`
	TraceParent  string    `json:"-"` // the trace context (W3C) that the run continues, from the headers of its event
	HandedOver   time.Time `json:"-"` // expires_seconds counts from it
	Task
}
