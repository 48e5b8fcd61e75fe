package outbox

import "github.com/tactus-dev/tactus/internal/sqlexpr"

// Expressions that package beat takes from here until it takes them from sqlexpr itself.
const (
	RunBell      = `select ` + sqlexpr.RingRuns
	TaskName     = sqlexpr.TaskName
	TaskArgs     = sqlexpr.TaskArgs
	TaskKwargs   = sqlexpr.TaskKwargs
	RoutedTask   = sqlexpr.RoutedTask
	RouteExpires = sqlexpr.RouteExpires
	Unfinished   = sqlexpr.Unfinished
)
