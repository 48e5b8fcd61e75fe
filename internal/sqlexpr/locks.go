package sqlexpr

// Every advisory lock of tactus. PostgreSQL knows two kinds of keys, which never meet: a pair of integers, and one
// bigint.
//
//	key                          held by                                          until
//	7461637, 475731              who rings the bell of schedules                  the end of the writing transaction
//	7461637, 475733              who rings the bell of runs                       the end of the writing transaction
//	7461637, 475732              who makes or drops a partition, if it is free    the end of the statement
//	7461637, 475734              nobody since schema 75 (a row of tactus.turns)   -
//	7461637475730001             who migrates the schema, or asks whether it is   the end of the session or transaction
//	hashtextextended(NAME, 0)    who builds the table NAME (tactus rebuild)       the end of the rebuild
//
// Whoever may connect to the database can hold any of them, for as long as they like. So nothing waits for one that
// cannot do without it for a while: what only one may do takes the lock of a row (tactus.turns, or that of the key
// whose session begins).
//
// Up to schema 21 the bell of runs had the key of partitions, so maintenance was refused while runs were triggered. An
// older process beside this one still rings with that key: it may refuse maintenance now and then, which is tried again
// within seconds, and one bell of each kind may ring at once, which costs one notification. Two processes that change
// partitions, of whatever versions, exclude each other as before.
const (
	ScheduleBellLock = `7461637, 475731`
	RunBellLock      = `7461637, 475733`
	PartitionLock    = `7461637, 475732`
	RouteLock        = `7461637, 475734`
	SchemaLock       = `7461637475730001`
)
