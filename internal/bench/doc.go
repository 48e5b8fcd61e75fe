// Package bench measures what tactus promises, on real servers, and says how noisy that was.
//
// Figures are ratios wherever there is something to compare with: the same work done plainly, by the same machine, in the
// same minute. Both are done in turns, five rounds of each, and a figure is the median of its rounds; one whose rounds lie
// far apart is marked noisy. What has no peer (a latency, a size) is an absolute figure, and means less on another machine.
//
// A [Section] measures one part. It gets a [Lab]: databases of its own, which are dropped again, and an empty Redis
// database. Quick is for trying that it works: one small round, whose figures mean nothing.
//
// Peers that would bring modules of others into tactus are sections of the module internal/bench/peers.
package bench
