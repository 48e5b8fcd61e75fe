// Package cron tells when a cron expression is due, in every time zone, through every change of its clocks.
//
//	spec, err := cron.Parse("30 9 * * mon-fri", cron.Options{})
//	location, err := zone.Load("Asia/Tokyo")
//	due, ok := spec.In(location, "", "").Next(time.Now())
//
// It depends on the standard library only, has no clock and does no I/O. Next does not allocate, and every call is
// bounded: no expression, zone or instant makes it loop.
//
// # Expressions
//
// Five fields (minute, hour, day of month, month, day of week), or six with leading seconds when Options ask for them.
// A field is a list of *, a, a-b, */n, a-b/n or a/n (from a to the end). Ranges may wrap (22-2, fri-mon). Months and
// days of the week have names, of three letters or full; ? is *; 7 is Sunday. In day of month, L is the last day, L-n
// the n-th before it, LW the last weekday, nW the weekday nearest to day n and L-nW that nearest to L-n; in day of
// week, d#n is the n-th such day and dL the last. @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly;
// "@every 90s" is an interval, whose phase the caller brings. TZ= or CRON_TZ= in front is not applied but reported by
// Spec.Zone.
//
// When both day fields are restricted, the Celery dialect demands both and the Vixie dialect takes either;
// Spec.Warnings says so.
//
// The dialects of Quartz and AWS count the days of the week from 1, which is Sunday, and write ? in one of the day
// fields, and only there; L in day of week is Saturday, and /n is */n. Quartz has leading seconds, and may have a year
// at the end (1970-2099); AWS writes cron(minute hour day-of-month month day-of-week year) (1970-2199), rate(5
// minutes), an interval, and at(2026-11-20T13:00:00), a local time for the caller to resolve. Quartz's C is refused.
// Spec.Warnings tells of an expression that looks like one of theirs but is read as Celery's or Vixie's.
//
// # Due times
//
// Matching is on the wall clock first and on instants second.
//
//   - A cadence (every hour of the day matches) is due at every instant whose wall clock matches: never in a gap, twice
//     in an overlap. What is hourly stays hourly.
//   - Any other expression is fixed: a time inside a gap is due once, at the first instant after the gap, and a
//     repeated time is due at its first showing only.
//   - Jumps of more than three hours are corrections (the date line moved): what they skip never existed.
//
// Due times that fall together are one, and due times strictly increase. GapPolicy and OverlapPolicy override. Nothing
// is looked for beyond Horizon, or the last year of a year field: an expression that no date matches ("0 0 31 2 *") is
// refused when it is parsed, and a rare one ("0 0 29 2 1", a leap day on a Monday) is found. Schedule.Prev and
// Schedule.Between give the same due times as Schedule.Next, from the other side and one after the other.
//
// # Words
//
// Spec.Describe says an expression in English or Japanese. It is exact: expressions that read the same are due at the
// same times, and of two day fields it says whether both must match or either. A language is a table of phrases and
// one file. Preview lists due times, with a mark where a change of the clocks moves, skips or repeats one.
//
// # Proof
//
// TestOracle holds the engine, in every dialect, against a walk through every minute (or second) around the transitions
// of random zones and the ends of leap years, TestVectors against a table of known cases, TestPeer against another
// library where that one can be trusted (two days away from any transition). TestStrictlyLater visits every transition
// of every zone, TestNextDoesNotAllocate counts, FuzzParse tries any text and FuzzNext any expression, zone and
// instant.
package cron
