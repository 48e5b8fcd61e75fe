// Package rrule tells when a recurrence of RFC 5545 (iCalendar) is due, in every time zone, through every change of its
// clocks.
//
//	rule, err := rrule.Parse("DTSTART;TZID=Asia/Tokyo:20260105T093000\nRRULE:FREQ=WEEKLY;INTERVAL=2;BYDAY=MO")
//	due, err := rule.In(location, time.Time{}, "", "")
//	next, ok := due.Next(time.Now())
//
// It depends on the standard library and on domain/cron, which resolves local times; it has no clock and does no I/O.
//
// # Text
//
// The lines are DTSTART, one RRULE (or FREQ=... alone), RDATE and EXDATE, each of the latter as often as wanted, with
// TZID or VALUE=DATE where RFC 5545 has them. Parse finds every fault, and says where it is and how to mend it.
//
// # Due times
//
// Times of a rule are times of a wall clock; what a change of the clocks skips or repeats follows the same policies as
// a cron expression (domain/cron). A rule that repeats hourly or faster and names no hours is a cadence. Nothing is due
// before DTSTART, and DTSTART itself only if the rule matches it. COUNT counts what the rule yields before EXDATE takes
// something away, and RDATE is not counted.
//
// Where RFC 5545 leaves room, this package does as dateutil does: BYWEEKNO without BYDAY means all seven days. Where
// dateutil departs from RFC 5545, it does not: numbered and plain days in one BYDAY are alternatives, and the first
// week of FREQ=WEEKLY;BYSETPOS=... is a whole one, and the last week of a year has its number whatever WKST says.
//
// # Cost
//
// Next and Prev need no state: a rule is compiled when it is bound to a zone, where COUNT becomes the last time that it
// yields. They look as far as the year 9999, and give up after a bounded number of steps; a rule that yields nothing by
// then is an error of In.
package rrule
