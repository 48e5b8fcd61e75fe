// Package calendar keeps sets of days and ranges (holidays, trading days, maintenance windows), and tells what becomes
// of due times that such sets exclude.
//
//	set, err := calendar.Compile(items)
//	filter := calendar.Filter{Sets: []*calendar.Set{set}, On: calendar.NextAllowed, Location: tokyo}
//	due := filter.Apply(recurrence)
//
// It depends on the standard library, on domain/rrule, which expands what recurs, and on domain/cron, which resolves
// local times; it has no clock and does no I/O.
//
// # Items
//
// A day ("2027-01-01") is a whole day of a clock on a wall, whatever the zone: the zone is that of the schedule which
// asks. A range of days has both its ends; a range of times (2027-01-01T02:00 to 04:00) ends just before its end, and
// is of the wall clock too unless its times have an offset. A recurrence (RRULE) repeats a range, in the years from
// FirstYear to LastYear.
//
// # Due times
//
// A due time is excluded when an excluding set holds it, or when no set of those that alone are allowed does. It is
// then skipped, or moved to the next or previous day on which the same local time is not excluded, at most MaxMove days
// away; beyond that it is dropped. Due times that fall on one instant are one. A moved time that daylight saving skips
// or repeats is resolved by the policies of the schedule.
//
// # Cost
//
// Sets are compiled once and shared; they are immutable. A Filter needs no state. Excluded stretches are jumped over,
// and every call gives up after a bounded number of steps, so a calendar that excludes everything is only never due.
package calendar
