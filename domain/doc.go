// Package domain is the language of tactus: schedules, triggers, due times, runs and the events that change them.
//
// It is pure: no I/O, no clock, no context, nothing but the standard library. The caller passes the time.
//
//   - A [Definition] is what a user writes. [Decode] decodes one and [Definition.Normalize] makes it complete and
//     canonical, or returns every fault in it at once ([Faults]).
//   - A [Schedule] is a definition with an identity and a version. A command ([Create], [Schedule.Redefine],
//     [Schedule.SetEnabled], [Schedule.Delete]) returns a [Change]; [Change.Dated] returns the schedule after it,
//     and [Apply] computes the same from the [Event] alone. Each event raises the version by exactly one.
//   - A [Trigger] says when a schedule is due: a pure function of (trigger, zone data, instant), never of the last run.
//   - A [Policy] says what becomes of due times: limits, jitter, and [Policy.Settle] for those that were missed.
//
// The user does not set two times of a schedule: EffectiveFrom (set on create, trigger edit and enable) is the instant
// after which due times count, and TriggerSetAt (create and trigger edit) is the instant from which max_runs counts.
package domain
