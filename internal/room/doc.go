// Package room tells whether another large task may be recorded to be handed over, or too many of those wait.
//
// The log is handed over in its order, so whatever is due waits for all that was recorded before it. The beat fires no
// large tasks while many of its own wait. This is the measure for all others who record runs: whoever asks for runs by
// hand, lets waiting runs go, puts dead letters back or hands over again. They share what may wait:
//
//	recorded ──▶ │ 16 MiB of tasks at most │ ──▶ a sink
//	             └── what is due joins here: it is never farther behind than that, and what the beat has fired
//
// A sink that has taken nothing for five seconds is away, and nobody waits for it: what is recorded waits in the log,
// as it does for the beat.
package room
