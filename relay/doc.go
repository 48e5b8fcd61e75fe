// Package relay carries the rows of the outbox to sinks: every committed row, once, in order.
//
// # Words
//
// A route leads a topic to a sink. A batch is a numbered set of the topic's events, cut for one sink; the [ID] of a
// message is the number of its batch and its row in it. The [Mark] of a sink is the epoch that the sink is in, and its
// last ID. An epoch is a life of the log: a period on one server and timeline, in which the numbers of transactions can
// be compared.
//
//	            ┌────────── the log and the sink disagree: reconcile ──────────┐
//	            ▼                                                              │
//	agree ─── resume ──▶ cut batch k+1 ──▶ read its rows ──▶ append in chunks ─┘
//	  │ ▲                └──────── while batch k is being appended ────────┘
//	  │ └── moveSink:   the sink goes on in the epoch, or behind what it lost
//	  ├──── regain:     tasks that a broker has lost behind its mark get an event each
//	  ├──── cutAgain:   a batch of the tasks that a broker may have lost with its mark
//	  └──── beginEpoch: an epoch begins
//
// # What it promises
//
//   - A batch is committed by a transaction of its own, and flushed to disk, before any of its rows is published, and
//     reading it always returns the same rows. So an event that is published again has the same ID and the same
//     content, and nothing is published that a crash of PostgreSQL could undo.
//   - A sink compares its mark before it appends. So nothing is appended twice by a relay that was stopped and resumed,
//     or by several relays at once.
//   - A relay resumes at the sink's own mark, even in the middle of a batch. So a sink of events that has lost entries
//     is rewound, and gets them again.
//   - A sink of tasks is never rewound, and no task is repeated because of a new epoch. If a broker has lost tasks,
//     those that are not known to have started, have not expired and are younger than [Route].Redeliver are handed over
//     again, under the same task ids: the ones behind the sink's mark, or all of them if the mark was lost as well.
//   - No other transaction delays a row, however long it runs. A relay holds no lock while it waits for its caller,
//     since each of its transactions is one statement; so a stopped relay blocks neither another relay nor a writer.
//   - A row that cannot be encoded, or that a sink will never take, is set aside in tactus.deadletters with the reason,
//     or in tactus.unlisted while another session has locked the whole table of the dead letters. The place of the row
//     stays empty, and all other rows go on. A task that was set aside stays so even if its batch is read again
//     (TestSetAsideStaysAside), until somebody puts it back, which gives it a new event. An event that was set aside is
//     published again by [Reopen].
//   - A sink that is down delays no other sink.
//   - On a standby, or if rows of a batch are gone, nothing is published, and the reason is logged.
//
// TestTwoRelays, TestRewind, TestEpochs, TestBrokerLosesTasks and the tests of faults show this; TestStandbyPromoted
// and TestRestoredElsewhere show it with a PostgreSQL that has really gone back.
package relay
