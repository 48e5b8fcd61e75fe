// Package relay carries the rows of the outbox to sinks: every committed row, once, in order.
//
// # Words
//
// A route leads a topic to a sink. A batch is a numbered slice of the topic, cut for one sink; a message's [ID] is its
// batch and its place there. A sink's [Mark] is the epoch that it is in and its last ID. An epoch is a life of the log:
// on one server and timeline, in which the numbers of transactions mean something.
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
//   - A batch is committed, alone and flushed, before anything of it is published, and reads the same for ever. So what
//     is published again has the same IDs and the same content, and nothing is published that a crash of Postgres could
//     undo.
//   - A sink compares before it appends. A relay that was stopped and resumed, or is one of several, appends nothing
//     twice.
//   - It resumes at the sink's own mark, in the middle of a batch too. An event sink that lost something is rewound to
//     it.
//   - Tasks are never rewound, and never repeated in a new epoch. A broker that lost some gets again those that are not
//     known to have started, have not expired and are younger than [Route].Redeliver, under the same task ids: those
//     behind its mark, or all of them when it has lost its mark too.
//   - No other transaction delays a row, however long it is, and no relay holds anything that another one, or a writer,
//     waits for: each transaction is one statement.
//   - A row that cannot be encoded, or that a sink will never take, is set aside in tactus.deadletters, with the
//     reason; in tactus.unlisted while somebody has locked that whole table. Its place stays empty and everything else
//     goes on. A task that was set aside stays so, whatever is read again (TestSetAsideStaysAside), until somebody
//     hands it over as something new; an event is published again by [Reopen].
//   - A sink that is down holds up no other.
//   - On a standby, and where the rows of a batch are gone, nothing is published, and the reason is told.
//
// TestTwoRelays, TestRewind, TestEpochs, TestBrokerLosesTasks and the tests of faults show these; TestStandbyPromoted
// and TestRestoredElsewhere do so when Postgres has really gone back.
package relay
