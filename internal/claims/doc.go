// Package claims keeps the names that streams of tasks and queues have in Redis apart.
//
// A queue is a list of Redis and a stream is a stream, and a key is only one of them: whichever comes first takes the
// name from the other, whose runs cannot be handed over any more. So a schedule may not go to a stream whose name is
// that of a queue of another schedule or of a route, nor to a queue whose name is that of another's stream.
//
// The writers of schedules refuse such a name as far as they see one (StreamOfOther, QueueOfOther). That is not enough:
// two transactions do not see each other, and an adopted row cannot be refused. So before anything is handed over to a
// stream its name is claimed, in a transaction of its own, if no schedule and no route has a queue of it. From then on
// nothing goes to a queue of that name, as long as a schedule that claimed it may fire. A claim therefore decides who
// came first, for all processes, and the loser is judged: it becomes invalid, with the reason.
//
// A stream to which nothing was handed over has no claim: else whoever may write one schedule could keep any name from
// those who need it, by one that fires once a year.
package claims
