# Generated from the description of the API: go test ./internal/api -run PythonClient -update
from typing import Any, Literal, NotRequired, TypedDict, Union

Attempt = TypedDict("Attempt", {
    "at": 'str',
    "attempt": 'int',
    "count": 'int',
    "error": NotRequired['str'],
    "outcome": 'Literal["delivered", "failed", "dead"]',
    "test": NotRequired['bool'],
})

Backfill = TypedDict("Backfill", {
    "actor": 'str',
    "again": 'bool',
    "created_at": 'str',
    "end_reason": NotRequired['str'],
    "ended_at": NotRequired['str'],
    "ended_by": NotRequired['str'],
    "execution_policy": 'Literal["allow", "queue"]',
    "fired": 'int',
    "from": 'str',
    "id": 'str',
    "left_out": 'LeftOut',
    "max_active": 'int',
    "order": 'Literal["oldest_first", "newest_first"]',
    "reason": NotRequired['str'],
    "remaining": 'int',
    "run_counts": NotRequired['dict[str, int]'],
    "schedule_id": 'str',
    "schedule_version": 'int',
    "state": 'Literal["running", "completed", "cancelled", "failed"]',
    "to": 'str',
    "total": 'int',
})

BackfillCancellation = TypedDict("BackfillCancellation", {
    "reason": NotRequired['str'],
    "runs": NotRequired['bool'],
    "terminate": NotRequired['bool'],
})

BackfillList = TypedDict("BackfillList", {
    "backfills": 'list[Backfill]',
    "next_before": 'str',
})

BackfillRequest = TypedDict("BackfillRequest", {
    "again": NotRequired['bool'],
    "dry_run": NotRequired['bool'],
    "execution_policy": NotRequired['Literal["allow", "queue"]'],
    "from": 'str',
    "max_active": NotRequired['int'],
    "order": NotRequired['Literal["oldest_first", "newest_first"]'],
    "reason": NotRequired['str'],
    "to": NotRequired['str'],
})

BegunBackfill = TypedDict("BegunBackfill", {
    "again": 'bool',
    "dry_run": 'bool',
    "excluded_due_times": 'list[str]',
    "execution_policy": 'Literal["allow", "queue"]',
    "first_due_times": 'list[str]',
    "from": 'str',
    "id": NotRequired['str'],
    "left_out": 'LeftOut',
    "max_active": 'int',
    "order": 'Literal["oldest_first", "newest_first"]',
    "to": 'str',
    "total": 'int',
})

BulkAnswer = TypedDict("BulkAnswer", {
    "action": 'str',
    "dry_run": 'bool',
    "group": NotRequired['str'],
    "matched": 'int',
    "next_page_token": 'str',
    "outcomes": 'list[BulkOutcome]',
})

BulkOutcome = TypedDict("BulkOutcome", {
    "code": NotRequired['str'],
    "error": NotRequired['str'],
    "id": 'str',
    "name": NotRequired['str'],
    "outcome": 'Literal["would", "done", "unchanged", "refused"]',
    "run_id": NotRequired['str'],
    "version": NotRequired['int'],
})

BulkRequest = TypedDict("BulkRequest", {
    "action": 'Literal["enable", "disable", "delete", "trigger", "retag", "set"]',
    "add_tags": NotRequired['list[str]'],
    "dry_run": NotRequired['bool'],
    "filter": NotRequired['ScheduleFilter'],
    "group": NotRequired['str'],
    "ids": NotRequired['list[str]'],
    "page_token": NotRequired['str'],
    "reason": NotRequired['str'],
    "remove_tags": NotRequired['list[str]'],
    "set": NotRequired['dict[str, Any]'],
    "until": NotRequired['str'],
})

Calendar = TypedDict("Calendar", {
    "created_at": 'str',
    "days": 'list[CalendarItem]',
    "deleted_at": NotRequired['str'],
    "description": NotRequired['str'],
    "id": 'str',
    "invalid_reason": NotRequired['str'],
    "name": 'str',
    "next": 'list[CalendarChange]',
    "size": 'int',
    "source": NotRequired['str'],
    "updated_at": 'str',
    "used_by": NotRequired['int'],
    "version": 'int',
})

CalendarChange = TypedDict("CalendarChange", {
    "from": 'str',
    "reason": NotRequired['str'],
    "to": 'str',
})

CalendarDefinition = TypedDict("CalendarDefinition", {
    "days": NotRequired['list[CalendarItem]'],
    "description": NotRequired['str'],
    "ics": NotRequired['str'],
    "source": NotRequired['str'],
})

CalendarItem = Union['str', 'dict[str, Any]']

CalendarList = TypedDict("CalendarList", {
    "calendars": 'list[Calendar]',
    "page": 'int',
    "per_page": 'int',
    "total": 'int',
})

Cancellation = TypedDict("Cancellation", {
    "terminate": NotRequired['bool'],
})

CancelledRun = TypedDict("CancelledRun", {
    "id": 'str',
    "outcome": 'Literal["would", "settled", "told", "finished", "locked", "stream", "not_found"]',
    "status": NotRequired['str'],
})

CancelledRuns = TypedDict("CancelledRuns", {
    "dry_run": 'bool',
    "matched": 'int',
    "next_page_token": 'str',
    "runs": 'list[CancelledRun]',
})

ChangedRoute = TypedDict("ChangedRoute", {
    "exchange": NotRequired['str'],
    "expires_seconds": NotRequired['int'],
    "ignore_result": NotRequired['bool'],
    "moves": 'list[Rerouted]',
    "moves_cut": NotRequired['bool'],
    "pattern": 'str',
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "time_limit_seconds": NotRequired['int'],
})

ChangedSchedule = TypedDict("ChangedSchedule", {
    "args": 'list[Any]',
    "auto_generated_name": 'bool',
    "category": 'str | None',
    "completed_at": NotRequired['str'],
    "created_at": 'str',
    "cron_dialect": NotRequired['Literal["celery", "vixie", "quartz", "aws"]'],
    "cron_expression": 'str | None',
    "cron_seconds": NotRequired['bool'],
    "deleted_at": NotRequired['str'],
    "description": 'str | None',
    "dst_gap": NotRequired['Literal["auto", "run_after", "skip"]'],
    "dst_overlap": NotRequired['Literal["auto", "first", "second", "both"]'],
    "effective_from": NotRequired['str'],
    "enabled": 'bool',
    "ends_at": NotRequired['str'],
    "exchange": NotRequired['str'],
    "exclude_calendars": NotRequired['list[str]'],
    "execution_policy": NotRequired['Literal["allow", "skip", "queue"]'],
    "expires_seconds": NotRequired['int'],
    "headers": NotRequired['dict[str, Any]'],
    "id": 'str',
    "ignore_result": NotRequired['bool'],
    "ignore_routes": NotRequired['bool'],
    "interval_anchor": NotRequired['str'],
    "interval_seconds": NotRequired['float'],
    "invalid_reason": NotRequired['str'],
    "jitter_seconds": NotRequired['int'],
    "kwargs": 'dict[str, Any]',
    "last_error": NotRequired['str'],
    "last_run_at": 'str | None',
    "last_runtime_seconds": NotRequired['float'],
    "last_status": NotRequired['str'],
    "managed_by": NotRequired['str'],
    "max_runs": NotRequired['int'],
    "message": 'str',
    "misfire_grace_seconds": NotRequired['int'],
    "misfire_policy": NotRequired['Literal["latest", "all", "none"]'],
    "misfire_window_seconds": NotRequired['int'],
    "name": 'str',
    "next_run_at": 'str | None',
    "on_completed": NotRequired['Literal["keep", "delete"]'],
    "on_excluded": NotRequired['Literal["skip", "next_allowed", "previous_allowed", "drop_if_taken"]'],
    "only_calendars": NotRequired['list[str]'],
    "owner": NotRequired['str'],
    "pause_group": NotRequired['str'],
    "pause_reason": NotRequired['str'],
    "paused_at": NotRequired['str'],
    "paused_by": NotRequired['str'],
    "paused_until": NotRequired['str'],
    "preset_name": NotRequired['str'],
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "rrule": NotRequired['str'],
    "run_at": NotRequired['str'],
    "shadow": NotRequired['str'],
    "skip_reason": NotRequired['str'],
    "skip_until": NotRequired['str'],
    "skipped_by": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "spread_seconds": NotRequired['int'],
    "starts_at": NotRequired['str'],
    "state": 'Literal["active", "paused", "completed", "invalid"]',
    "stream": NotRequired['str'],
    "success_rate": NotRequired['float'],
    "tags": 'list[str]',
    "task_name": NotRequired['str'],
    "task_params": NotRequired['dict[str, Any]'],
    "time_limit_seconds": NotRequired['int'],
    "timezone": NotRequired['str'],
    "total_run_count": NotRequired['int'],
    "trigger_set_at": NotRequired['str'],
    "updated_at": 'str',
    "version": 'int',
    "warnings": NotRequired['list[Warning]'],
})

Comparison = TypedDict("Comparison", {
    "changes": 'list[MemberChange]',
    "invalid": NotRequired['list[Fault]'],
    "name": 'str',
    "outcome": 'Literal["create", "change", "same"]',
})

DeletedRoute = TypedDict("DeletedRoute", {
    "moves": 'list[Rerouted]',
    "moves_cut": NotRequired['bool'],
    "pattern": 'str',
})

Difference = TypedDict("Difference", {
    "code": 'str',
    "message": 'str',
})

EventPage = TypedDict("EventPage", {
    "events": 'list[Any]',
    "more": 'bool',
    "next": 'str',
})

Fault = TypedDict("Fault", {
    "code": 'str',
    "location": 'str',
    "message": 'str',
})

History = TypedDict("History", {
    "history": 'list[Run]',
    "total": 'int',
})

IssuedKey = TypedDict("IssuedKey", {
    "created_at": 'str',
    "created_by": 'str',
    "expires_at": 'str | None',
    "id": 'str',
    "key": 'str',
    "last_used_at": 'str | None',
    "name": 'str',
    "replaced_by": 'str | None',
    "revoked_at": 'str | None',
    "role": 'Literal["read", "write", "admin"]',
    "scope": 'list[str]',
    "state": 'Literal["active", "expired", "revoked"]',
})

Key = TypedDict("Key", {
    "created_at": 'str',
    "created_by": 'str',
    "expires_at": 'str | None',
    "id": 'str',
    "last_used_at": 'str | None',
    "name": 'str',
    "replaced_by": 'str | None',
    "revoked_at": 'str | None',
    "role": 'Literal["read", "write", "admin"]',
    "scope": 'list[str]',
    "state": 'Literal["active", "expired", "revoked"]',
})

KeyList = TypedDict("KeyList", {
    "keys": 'list[Key]',
})

KeyRotation = TypedDict("KeyRotation", {
    "expires_at": NotRequired['str'],
    "overlap_seconds": NotRequired['float'],
})

LeftOut = TypedDict("LeftOut", {
    "excluded": 'int',
    "ran": 'int',
    "skipped": 'int',
})

ManualRun = TypedDict("ManualRun", {
    "args": NotRequired['list[Any]'],
    "expires_seconds": NotRequired['int'],
    "kwargs": NotRequired['dict[str, Any]'],
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
})

ManyRuns = TypedDict("ManyRuns", {
    "dry_run": NotRequired['bool'],
    "filter": NotRequired['RunFilter'],
    "ids": NotRequired['list[str]'],
    "page_token": NotRequired['str'],
    "terminate": NotRequired['bool'],
})

Mark = TypedDict("Mark", {
    "at": 'str',
    "copy": NotRequired['int'],
    "mark": 'Literal["moved", "skipped", "repeated", "excluded", "shifted"]',
    "reason": NotRequired['str'],
    "wall": NotRequired['str'],
})

MemberChange = TypedDict("MemberChange", {
    "after": 'Any',
    "before": 'Any',
    "member": 'str',
})

NewKey = TypedDict("NewKey", {
    "expires_at": NotRequired['str'],
    "name": 'str',
    "role": 'Literal["read", "write", "admin"]',
    "scope": NotRequired['list[str]'],
})

NotificationProgress = TypedDict("NotificationProgress", {
    "attempts": NotRequired['list[Attempt]'],
    "delivered_at": NotRequired['str'],
    "error": NotRequired['str'],
    "failed_at": NotRequired['str'],
    "held_until": NotRequired['str'],
    "waiting": 'int',
})

NotificationRule = TypedDict("NotificationRule", {
    "body": NotRequired['str'],
    "content_type": NotRequired['str'],
    "created_at": 'str',
    "description": NotRequired['str'],
    "enabled": 'bool',
    "every_minutes": NotRequired['int'],
    "id": 'str',
    "last": 'NotificationProgress',
    "late_seconds": NotRequired['int'],
    "method": NotRequired['Literal["GET", "POST", "PUT", "PATCH"]'],
    "name": 'str',
    "names": NotRequired['list[str]'],
    "never_fired_seconds": NotRequired['int'],
    "on": 'list[Literal["failed", "missed", "late", "unknown", "invalid", "never_fired", "recovered", "paused", "succeeded"]]',
    "paused_seconds": NotRequired['int'],
    "secret": NotRequired['str'],
    "source": NotRequired['str'],
    "tags": NotRequired['list[str]'],
    "tasks": NotRequired['list[str]'],
    "to": 'Literal["webhook", "slack", "http", "ping", "stream"]',
    "updated_at": 'str',
    "url": NotRequired['str'],
    "version": 'int',
})

NotificationRuleDefinition = TypedDict("NotificationRuleDefinition", {
    "body": NotRequired['str'],
    "content_type": NotRequired['str'],
    "description": NotRequired['str'],
    "enabled": NotRequired['bool'],
    "every_minutes": NotRequired['int'],
    "headers": NotRequired['dict[str, str]'],
    "late_seconds": NotRequired['int'],
    "method": NotRequired['Literal["GET", "POST", "PUT", "PATCH"]'],
    "names": NotRequired['list[str]'],
    "never_fired_seconds": NotRequired['int'],
    "on": 'list[Literal["failed", "missed", "late", "unknown", "invalid", "never_fired", "recovered", "paused", "succeeded"]]',
    "paused_seconds": NotRequired['int'],
    "secret": NotRequired['str'],
    "source": NotRequired['str'],
    "tags": NotRequired['list[str]'],
    "tasks": NotRequired['list[str]'],
    "to": 'Literal["webhook", "slack", "http", "ping", "stream"]',
    "url": NotRequired['str'],
})

NotificationRuleList = TypedDict("NotificationRuleList", {
    "notification_rules": 'list[NotificationRuleListed]',
    "page": 'int',
    "per_page": 'int',
    "total": 'int',
})

NotificationRuleListed = TypedDict("NotificationRuleListed", {
    "body": NotRequired['str'],
    "content_type": NotRequired['str'],
    "created_at": 'str',
    "description": NotRequired['str'],
    "enabled": 'bool',
    "every_minutes": NotRequired['int'],
    "id": 'str',
    "last": 'NotificationProgress',
    "late_seconds": NotRequired['int'],
    "method": NotRequired['Literal["GET", "POST", "PUT", "PATCH"]'],
    "name": 'str',
    "names": NotRequired['list[str]'],
    "never_fired_seconds": NotRequired['int'],
    "on": 'list[Literal["failed", "missed", "late", "unknown", "invalid", "never_fired", "recovered", "paused", "succeeded"]]',
    "paused_seconds": NotRequired['int'],
    "source": NotRequired['str'],
    "tags": NotRequired['list[str]'],
    "tasks": NotRequired['list[str]'],
    "to": 'Literal["webhook", "slack", "http", "ping", "stream"]',
    "updated_at": 'str',
    "url": NotRequired['str'],
    "version": 'int',
})

NotificationTest = TypedDict("NotificationTest", {
    "error": NotRequired['str'],
    "outcome": 'Literal["delivered", "failed", "waiting"]',
})

Pause = TypedDict("Pause", {
    "reason": NotRequired['str'],
    "until": NotRequired['str'],
})

Preset = TypedDict("Preset", {
    "cron_expression": 'str',
    "description": 'str',
    "name": 'str',
})

PresetList = TypedDict("PresetList", {
    "presets": 'list[Preset]',
})

Preview = TypedDict("Preview", {
    "description": 'str',
    "due_times": 'list[str]',
    "fires_at": NotRequired['list[str]'],
    "marks": 'list[Mark]',
    "warnings": 'list[Warning]',
})

PreviewRequest = TypedDict("PreviewRequest", {
    "after": NotRequired['str'],
    "args": NotRequired['list[Any]'],
    "auto_generated_name": NotRequired['bool'],
    "category": NotRequired['str'],
    "cron_dialect": NotRequired['Literal["celery", "vixie", "quartz", "aws"]'],
    "cron_expression": NotRequired['str'],
    "cron_seconds": NotRequired['bool'],
    "description": NotRequired['str'],
    "dst_gap": NotRequired['Literal["auto", "run_after", "skip"]'],
    "dst_overlap": NotRequired['Literal["auto", "first", "second", "both"]'],
    "enabled": NotRequired['bool'],
    "ends_at": NotRequired['str'],
    "exchange": NotRequired['str'],
    "exclude_calendars": NotRequired['list[str]'],
    "execution_policy": NotRequired['Literal["allow", "skip", "queue"]'],
    "expires_seconds": NotRequired['int'],
    "headers": NotRequired['dict[str, Any]'],
    "ignore_result": NotRequired['bool'],
    "ignore_routes": NotRequired['bool'],
    "interval_anchor": NotRequired['str'],
    "interval_seconds": NotRequired['float'],
    "jitter_seconds": NotRequired['int'],
    "kwargs": NotRequired['dict[str, Any]'],
    "language": NotRequired['Literal["en", "ja"]'],
    "max_runs": NotRequired['int'],
    "misfire_grace_seconds": NotRequired['int'],
    "misfire_policy": NotRequired['Literal["latest", "all", "none"]'],
    "misfire_window_seconds": NotRequired['int'],
    "n": NotRequired['int'],
    "name": NotRequired['str'],
    "on_completed": NotRequired['Literal["keep", "delete"]'],
    "on_excluded": NotRequired['Literal["skip", "next_allowed", "previous_allowed", "drop_if_taken"]'],
    "only_calendars": NotRequired['list[str]'],
    "preset_name": NotRequired['str'],
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "rrule": NotRequired['str'],
    "run_at": NotRequired['str'],
    "shadow": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "spread_seconds": NotRequired['int'],
    "starts_at": NotRequired['str'],
    "stream": NotRequired['str'],
    "tags": NotRequired['list[str]'],
    "task_name": NotRequired['str'],
    "task_params": NotRequired['dict[str, Any]'],
    "time_limit_seconds": NotRequired['int'],
    "timezone": NotRequired['str'],
})

Principal = TypedDict("Principal", {
    "id": NotRequired['str'],
    "kind": 'str',
    "name": 'str',
    "role": 'str',
    "scope": NotRequired['list[str]'],
})

Problem = TypedDict("Problem", {
    "code": 'str',
    "detail": 'str',
    "errors": 'list[Fault]',
    "status": 'int',
    "title": 'str',
    "type": 'str',
})

Rerouted = TypedDict("Rerouted", {
    "differences": 'list[Difference]',
    "names": 'list[str]',
    "schedules": 'int',
    "task_name": 'str',
})

RerunRun = TypedDict("RerunRun", {
    "code": NotRequired['str'],
    "error": NotRequired['str'],
    "id": 'str',
    "run_id": NotRequired['str'],
    "task_of": NotRequired['Literal["run", "schedule"]'],
})

RerunRuns = TypedDict("RerunRuns", {
    "dry_run": 'bool',
    "matched": 'int',
    "next_page_token": 'str',
    "runs": 'list[RerunRun]',
})

Reversion = TypedDict("Reversion", {
    "version": 'int',
})

Route = TypedDict("Route", {
    "exchange": NotRequired['str'],
    "expires_seconds": NotRequired['int'],
    "ignore_result": NotRequired['bool'],
    "pattern": 'str',
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "source": NotRequired['str'],
    "time_limit_seconds": NotRequired['int'],
    "updated_at": 'str',
})

RouteDefinition = TypedDict("RouteDefinition", {
    "exchange": NotRequired['str'],
    "expires_seconds": NotRequired['int'],
    "ignore_result": NotRequired['bool'],
    "pattern": NotRequired['str'],
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "source": NotRequired['str'],
    "time_limit_seconds": NotRequired['int'],
})

RouteList = TypedDict("RouteList", {
    "page": 'int',
    "per_page": 'int',
    "routes": 'list[Route]',
    "total": 'int',
})

Run = TypedDict("Run", {
    "due_at": 'str',
    "error": 'str | None',
    "executed_at": 'str',
    "expires_at": NotRequired['str'],
    "finished_at": NotRequired['str'],
    "kind": 'Literal["scheduled", "manual", "backfill"]',
    "reason": NotRequired['str'],
    "result": 'Any',
    "schedule_id": 'str',
    "schedule_version": 'int',
    "sent_at": NotRequired['str'],
    "started_at": NotRequired['str'],
    "status": 'str',
    "task_id": 'str',
    "traceback": NotRequired['str'],
    "until": NotRequired['str'],
    "worker": NotRequired['str'],
})

RunDetail = TypedDict("RunDetail", {
    "args": 'list[Any]',
    "attempts": 'int',
    "backfill_id": NotRequired['str'],
    "clocks_differ": NotRequired['bool'],
    "due_at": 'str',
    "error": 'str | None',
    "expires_at": NotRequired['str'],
    "final": 'bool',
    "finished_at": 'str | None',
    "handed_over_at": 'str | None',
    "id": 'str',
    "kind": 'Literal["scheduled", "manual", "backfill"]',
    "kwargs": 'dict[str, Any]',
    "lateness_seconds": 'float | None',
    "queue": 'str | None',
    "reason": NotRequired['str'],
    "recorded_at": 'str',
    "redelivered": 'int',
    "rerun_of": NotRequired['str'],
    "result": 'Any',
    "runtime_seconds": 'float | None',
    "schedule_id": 'str',
    "schedule_name": 'str | None',
    "schedule_version": 'int',
    "started_at": 'str | None',
    "status": 'Literal["due", "sent", "started", "retrying", "succeeded", "failed", "revoked", "expired", "skipped", "missed", "unknown"]',
    "steps": 'list[Step]',
    "stream": NotRequired['str'],
    "task_name": 'str | None',
    "task_of": 'Literal["run", "schedule"]',
    "traceback": 'str | None',
    "trigger_reason": NotRequired['str'],
    "triggered_by": NotRequired['str'],
    "triggered_on_behalf_of": NotRequired['str'],
    "until": NotRequired['str'],
    "worker": NotRequired['str'],
})

RunEntry = TypedDict("RunEntry", {
    "backfill_id": NotRequired['str'],
    "clocks_differ": NotRequired['bool'],
    "due_at": 'str',
    "error": 'str | None',
    "expires_at": NotRequired['str'],
    "final": 'bool',
    "finished_at": 'str | None',
    "handed_over_at": 'str | None',
    "id": 'str',
    "kind": 'Literal["scheduled", "manual", "backfill"]',
    "lateness_seconds": 'float | None',
    "queue": 'str | None',
    "reason": NotRequired['str'],
    "recorded_at": 'str',
    "redelivered": 'int',
    "runtime_seconds": 'float | None',
    "schedule_id": 'str',
    "schedule_name": 'str | None',
    "schedule_version": 'int',
    "started_at": 'str | None',
    "status": 'Literal["due", "sent", "started", "retrying", "succeeded", "failed", "revoked", "expired", "skipped", "missed", "unknown"]',
    "stream": NotRequired['str'],
    "task_name": 'str | None',
    "until": NotRequired['str'],
    "worker": NotRequired['str'],
})

RunFilter = TypedDict("RunFilter", {
    "due_from": NotRequired['str'],
    "due_to": NotRequired['str'],
    "error": NotRequired['str'],
    "finished_from": NotRequired['str'],
    "finished_to": NotRequired['str'],
    "kind": NotRequired['str'],
    "queue": NotRequired['str'],
    "schedule": NotRequired['str'],
    "status": NotRequired['list[str]'],
    "tag": NotRequired['list[str]'],
    "task_name": NotRequired['str'],
    "worker": NotRequired['str'],
})

RunHour = TypedDict("RunHour", {
    "counts": 'dict[str, int]',
    "cut": 'bool',
    "hour": 'str',
    "lateness_seconds": 'Spread',
    "runtime_seconds": 'Spread',
    "success_rate": 'float | None',
    "total": 'int',
})

RunPage = TypedDict("RunPage", {
    "next_page_token": 'str',
    "runs": 'list[RunEntry]',
})

RunSummary = TypedDict("RunSummary", {
    "counts": 'dict[str, int]',
    "cut": 'bool',
    "from": 'str',
    "hours": 'list[RunHour]',
    "lateness_seconds": 'Spread',
    "runtime_seconds": 'Spread',
    "success_rate": 'float | None',
    "to": 'str',
    "total": 'int',
})

Schedule = TypedDict("Schedule", {
    "args": 'list[Any]',
    "auto_generated_name": 'bool',
    "category": 'str | None',
    "completed_at": NotRequired['str'],
    "created_at": 'str',
    "cron_dialect": NotRequired['Literal["celery", "vixie", "quartz", "aws"]'],
    "cron_expression": 'str | None',
    "cron_seconds": NotRequired['bool'],
    "deleted_at": NotRequired['str'],
    "description": 'str | None',
    "dst_gap": NotRequired['Literal["auto", "run_after", "skip"]'],
    "dst_overlap": NotRequired['Literal["auto", "first", "second", "both"]'],
    "effective_from": NotRequired['str'],
    "enabled": 'bool',
    "ends_at": NotRequired['str'],
    "exchange": NotRequired['str'],
    "exclude_calendars": NotRequired['list[str]'],
    "execution_policy": NotRequired['Literal["allow", "skip", "queue"]'],
    "expires_seconds": NotRequired['int'],
    "headers": NotRequired['dict[str, Any]'],
    "id": 'str',
    "ignore_result": NotRequired['bool'],
    "ignore_routes": NotRequired['bool'],
    "interval_anchor": NotRequired['str'],
    "interval_seconds": NotRequired['float'],
    "invalid_reason": NotRequired['str'],
    "jitter_seconds": NotRequired['int'],
    "kwargs": 'dict[str, Any]',
    "last_error": NotRequired['str'],
    "last_run_at": 'str | None',
    "last_runtime_seconds": NotRequired['float'],
    "last_status": NotRequired['str'],
    "managed_by": NotRequired['str'],
    "max_runs": NotRequired['int'],
    "misfire_grace_seconds": NotRequired['int'],
    "misfire_policy": NotRequired['Literal["latest", "all", "none"]'],
    "misfire_window_seconds": NotRequired['int'],
    "name": 'str',
    "next_run_at": 'str | None',
    "on_completed": NotRequired['Literal["keep", "delete"]'],
    "on_excluded": NotRequired['Literal["skip", "next_allowed", "previous_allowed", "drop_if_taken"]'],
    "only_calendars": NotRequired['list[str]'],
    "owner": NotRequired['str'],
    "pause_group": NotRequired['str'],
    "pause_reason": NotRequired['str'],
    "paused_at": NotRequired['str'],
    "paused_by": NotRequired['str'],
    "paused_until": NotRequired['str'],
    "preset_name": NotRequired['str'],
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "rrule": NotRequired['str'],
    "run_at": NotRequired['str'],
    "shadow": NotRequired['str'],
    "skip_reason": NotRequired['str'],
    "skip_until": NotRequired['str'],
    "skipped_by": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "spread_seconds": NotRequired['int'],
    "starts_at": NotRequired['str'],
    "state": 'Literal["active", "paused", "completed", "invalid"]',
    "stream": NotRequired['str'],
    "success_rate": NotRequired['float'],
    "tags": 'list[str]',
    "task_name": NotRequired['str'],
    "task_params": NotRequired['dict[str, Any]'],
    "time_limit_seconds": NotRequired['int'],
    "timezone": NotRequired['str'],
    "total_run_count": NotRequired['int'],
    "trigger_set_at": NotRequired['str'],
    "updated_at": 'str',
    "version": 'int',
    "warnings": NotRequired['list[Warning]'],
})

ScheduleDefinition = TypedDict("ScheduleDefinition", {
    "args": NotRequired['list[Any]'],
    "auto_generated_name": NotRequired['bool'],
    "category": NotRequired['str'],
    "cron_dialect": NotRequired['Literal["celery", "vixie", "quartz", "aws"]'],
    "cron_expression": NotRequired['str'],
    "cron_seconds": NotRequired['bool'],
    "description": NotRequired['str'],
    "dst_gap": NotRequired['Literal["auto", "run_after", "skip"]'],
    "dst_overlap": NotRequired['Literal["auto", "first", "second", "both"]'],
    "enabled": NotRequired['bool'],
    "ends_at": NotRequired['str'],
    "exchange": NotRequired['str'],
    "exclude_calendars": NotRequired['list[str]'],
    "execution_policy": NotRequired['Literal["allow", "skip", "queue"]'],
    "expires_seconds": NotRequired['int'],
    "headers": NotRequired['dict[str, Any]'],
    "ignore_result": NotRequired['bool'],
    "ignore_routes": NotRequired['bool'],
    "interval_anchor": NotRequired['str'],
    "interval_seconds": NotRequired['float'],
    "jitter_seconds": NotRequired['int'],
    "kwargs": NotRequired['dict[str, Any]'],
    "max_runs": NotRequired['int'],
    "misfire_grace_seconds": NotRequired['int'],
    "misfire_policy": NotRequired['Literal["latest", "all", "none"]'],
    "misfire_window_seconds": NotRequired['int'],
    "name": NotRequired['str'],
    "on_completed": NotRequired['Literal["keep", "delete"]'],
    "on_excluded": NotRequired['Literal["skip", "next_allowed", "previous_allowed", "drop_if_taken"]'],
    "only_calendars": NotRequired['list[str]'],
    "preset_name": NotRequired['str'],
    "priority": NotRequired['int'],
    "queue": NotRequired['str'],
    "routing_key": NotRequired['str'],
    "rrule": NotRequired['str'],
    "run_at": NotRequired['str'],
    "shadow": NotRequired['str'],
    "soft_time_limit_seconds": NotRequired['int'],
    "spread_seconds": NotRequired['int'],
    "starts_at": NotRequired['str'],
    "stream": NotRequired['str'],
    "tags": NotRequired['list[str]'],
    "task_name": 'str',
    "task_params": NotRequired['dict[str, Any]'],
    "time_limit_seconds": NotRequired['int'],
    "timezone": NotRequired['str'],
})

ScheduleFilter = TypedDict("ScheduleFilter", {
    "category": NotRequired['str'],
    "enabled": NotRequired['bool'],
    "invalid": NotRequired['bool'],
    "last_status": NotRequired['str'],
    "name": NotRequired['str'],
    "owner": NotRequired['str'],
    "pause_group": NotRequired['str'],
    "q": NotRequired['str'],
    "queue": NotRequired['str'],
    "tag": NotRequired['list[str]'],
    "task_name": NotRequired['str'],
    "text": NotRequired['str'],
})

ScheduleHistory = TypedDict("ScheduleHistory", {
    "events": 'list[VersionChange]',
    "next_before": 'int | None',
})

SchedulePage = TypedDict("SchedulePage", {
    "next_page_token": NotRequired['str'],
    "page": NotRequired['int'],
    "per_page": NotRequired['int'],
    "schedules": 'list[Schedule]',
    "total": NotRequired['int'],
})

SchedulePatch = TypedDict("SchedulePatch", {
    "args": NotRequired['list[Any] | None'],
    "category": NotRequired['str | None'],
    "cron_dialect": NotRequired['Literal["celery", "vixie", "quartz", "aws", None]'],
    "cron_expression": NotRequired['str | None'],
    "cron_seconds": NotRequired['bool | None'],
    "description": NotRequired['str | None'],
    "dst_gap": NotRequired['Literal["auto", "run_after", "skip", None]'],
    "dst_overlap": NotRequired['Literal["auto", "first", "second", "both", None]'],
    "enabled": NotRequired['bool | None'],
    "ends_at": NotRequired['str | None'],
    "exchange": NotRequired['str | None'],
    "exclude_calendars": NotRequired['list[str] | None'],
    "execution_policy": NotRequired['Literal["allow", "skip", "queue", None]'],
    "expires_seconds": NotRequired['int | None'],
    "headers": NotRequired['dict[str, Any] | None'],
    "ignore_result": NotRequired['bool | None'],
    "ignore_routes": NotRequired['bool | None'],
    "interval_anchor": NotRequired['str | None'],
    "interval_seconds": NotRequired['float | None'],
    "jitter_seconds": NotRequired['int | None'],
    "kwargs": NotRequired['dict[str, Any] | None'],
    "max_runs": NotRequired['int | None'],
    "misfire_grace_seconds": NotRequired['int | None'],
    "misfire_policy": NotRequired['Literal["latest", "all", "none", None]'],
    "misfire_window_seconds": NotRequired['int | None'],
    "name": NotRequired['str | None'],
    "on_completed": NotRequired['Literal["keep", "delete", None]'],
    "on_excluded": NotRequired['Literal["skip", "next_allowed", "previous_allowed", "drop_if_taken", None]'],
    "only_calendars": NotRequired['list[str] | None'],
    "preset_name": NotRequired['str | None'],
    "priority": NotRequired['int | None'],
    "queue": NotRequired['str | None'],
    "routing_key": NotRequired['str | None'],
    "rrule": NotRequired['str | None'],
    "run_at": NotRequired['str | None'],
    "shadow": NotRequired['str | None'],
    "soft_time_limit_seconds": NotRequired['int | None'],
    "spread_seconds": NotRequired['int | None'],
    "starts_at": NotRequired['str | None'],
    "stream": NotRequired['str | None'],
    "tags": NotRequired['list[str] | None'],
    "task_name": NotRequired['str | None'],
    "task_params": NotRequired['dict[str, Any] | None'],
    "time_limit_seconds": NotRequired['int | None'],
    "timezone": NotRequired['str | None'],
})

Skip = TypedDict("Skip", {
    "count": NotRequired['int'],
    "reason": NotRequired['str'],
})

Spread = TypedDict("Spread", {
    "p50": 'float | None',
    "p95": 'float | None',
})

Step = TypedDict("Step", {
    "at": 'str',
    "seconds": NotRequired['float'],
    "step": 'Literal["due", "recorded", "handed_over", "started", "finished"]',
})

Triggered = TypedDict("Triggered", {
    "run_id": 'str',
    "schedule_id": 'str',
    "status": 'str',
    "task_id": 'str',
})

Upcoming = TypedDict("Upcoming", {
    "cut": 'bool',
    "from": 'str',
    "to": 'str',
    "unread": 'bool',
    "upcoming": 'list[UpcomingDue]',
})

UpcomingDue = TypedDict("UpcomingDue", {
    "copy": NotRequired['int'],
    "due_at": 'str',
    "fires_at": NotRequired['str'],
    "mark": NotRequired['Literal["moved", "repeated"]'],
    "schedule_id": 'str',
    "schedule_name": 'str',
    "task_name": 'str',
    "wall": NotRequired['str'],
})

VersionChange = TypedDict("VersionChange", {
    "actor": NotRequired['str'],
    "at": 'str',
    "changes": 'list[MemberChange]',
    "on_behalf_of": NotRequired['str'],
    "reason": NotRequired['str'],
    "type": 'str',
    "version": 'int',
})

Warning = TypedDict("Warning", {
    "code": 'str',
    "message": 'str',
})
