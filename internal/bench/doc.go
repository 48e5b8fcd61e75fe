// Package bench measures what tactus promises on real servers, and reports how noisy each measurement was.
//
// A figure is a ratio wherever there is a peer: the same work done plainly, on the same machine, in the same minute.
// The two run in turns, five rounds each. A figure is the median of its rounds, and is marked noisy when they lie far
// apart. What has no peer (a latency, a size) is an absolute figure, which means less on another machine.
//
// A [Section] measures one part. It gets a [Lab]: databases of its own, which are dropped afterwards, and an empty
// Redis database. Quick mode only shows that a section works: it runs one small round, whose figures mean nothing.
//
// Peers that need modules of others are sections of the module internal/bench/peers.
// Peers that would bring modules of others into tactus are sections of the module internal/bench/peers.
package bench
