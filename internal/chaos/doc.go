// Package chaos runs writers, relays and beats as real processes while servers and processes are killed, stopped, emptied
// and cut off at random, and then has package verify look for anything that is lost, doubled or out of order.
//
// A seed decides which faults come when; what they meet is up to the machine, so a seed repeats the faults and not every
// race. "go test" runs it for some seconds; "make chaos" for 90, or for TACTUS_CHAOS_FOR with TACTUS_CHAOS_SEED.
//
// The faults are in faults_test.go, a table with a function each. What must hold at the end is what package verify promises
// to find, with every due time of the whole run looked at, and that the beat knows exactly the schedules that are enabled.
// The end is when a beat has settled all, by its own word in the lease. An edit excuses a due time before it only as far as
// the beats were away, which schedules that nobody edits tell; those have no excuse at all.
package chaos
