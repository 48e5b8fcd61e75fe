// Package deadletter shows what tactus has set aside so that everything else goes on, and puts it back once its cause is
// mended. There are four kinds, by their source:
//
//   - An event that cannot be encoded for the stream ("events"). It is published in its place, before what came after it,
//     which needs a new epoch: every event from it on is published again, with the same ids, and consumers read all
//     schedules anew. Many letters need one epoch.
//   - A run that a broker refused, or for which no message can be made ("celery", "streams"). It is handed over under the same
//     task id, as its schedule says now, by a run.due event with the next version.
//   - A due time that the beat cannot fire ("beat"). Its run, which was recorded as missed, becomes due, as its schedule says
//     now. A schedule that is deleted, disabled, or was given another trigger since is not run.
//   - An entry of the event stream that a consumer group cannot read ("entries"). Its group is given it again, within
//     a minute.
//
// What it promises:
//
//   - Each letter is put back in one transaction, in which it is also taken off the list. Whatever fails, it is either still a
//     letter or on its way, and two who put it back at once do so once (TestRetryOnce).
//   - What ran, or may have, never runs again: only a run that is failed because it was not handed over, or missed because it
//     was set aside, is put back (TestWhatMayHaveRun).
//   - What is the matter still sets it aside again, as a new letter.
//   - What is dropped stays known to the checker, and is not set aside again.
//
// TestEvent, TestTask, TestDueTime and TestEntry take each kind from its fault to its mend, beside others that go on.
package deadletter
