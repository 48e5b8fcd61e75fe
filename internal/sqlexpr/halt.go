package sqlexpr

import "strings"

// Halt is the columns of tactus.schedules that tell what keeps a schedule from firing: four times, drawn into the
// years that every program reads, and five texts, empty for null. table is the table's alias with its dot, or nothing.
func Halt(table string) string {
	return strings.ReplaceAll(InYears("$paused_at")+`, `+InYears("$paused_until")+`, `+InYears("$skip_until")+`, `+InYears("$completed_at")+`,
    coalesce($paused_by, ''), coalesce($pause_reason, ''), coalesce($pause_group, ''), coalesce($skipped_by, ''), coalesce($skip_reason, '')`,
		"$", table)
}
