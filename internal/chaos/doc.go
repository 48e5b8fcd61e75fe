// Package chaos runs writers, relays and beats as real processes, kills, suspends, empties and disconnects servers and
// processes at random, and then has package verify look for anything that is lost, twice or out of order.
//
// A seed decides which faults come when. What they hit depends on the machine, so a seed repeats the faults but not
// every race. "go test" runs for some seconds; "make chaos" for 90, or for TACTUS_CHAOS_FOR with TACTUS_CHAOS_SEED.
//
// The faults are a table in faults_test.go, with a function each. At the end package verify must find no problem, with
// every due time of the whole time checked, and the beats must know exactly the enabled schedules. The end is when a
// beat's lease says that it has settled everything. An edit excuses an unsettled due time shortly before it, by no more
// than the time that there was no beat. Schedules that nobody edits show how long that was, and have no excuse
// themselves.
package chaos
