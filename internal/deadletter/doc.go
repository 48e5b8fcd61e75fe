// Package deadletter lists what tactus has set aside, and puts it back once the cause is mended. Dead letters have five
// kinds, by their source:
//
//   - An event that cannot be encoded for the stream ("events"). Putting it back begins a new epoch, in which every
//     event from this one on is published again, with the same ids. There is no other way to publish it before the
//     events that followed it. Consumers read all schedules again. Many dead letters need only one epoch.
//   - A run that a broker refused, or for which no message can be made ("celery", "streams"). It is handed over under
//     the same task id, with the schedule's present definition, by a run.due event with the next version.
//   - A due time that the beat cannot fire ("beat"). Its run, which was recorded as missed, becomes due, with the
//     schedule's present definition. If the schedule was deleted, disabled, or given another trigger since, it is not
//     run.
//   - A notification that its destination did not take ("notifications"). It is delivered again, by its rule as it is
//     now.
//   - An entry of the event stream that a consumer group cannot read ("entries"). Its group receives it again within a
//     minute.
//
// What it promises:
//
//   - Each dead letter is put back in one transaction, which also removes it from the list. Whatever fails, it is
//     either still listed or put back, and if two people put it back at once, it happens once (TestRetryOnce).
//   - A run that has run, or may have, never runs again: only a run that failed because it was not handed over, or was
//     missed because it was set aside, is put back (TestWhatMayHaveRun).
//   - If the cause has not been mended, the row is set aside again, as a new dead letter.
//   - The checker still knows of dropped dead letters, and what was dropped is not set aside again.
//
// TestEvent, TestTask, TestDueTime and TestEntry take each kind from its fault to its repair, while others go on.
package deadletter
