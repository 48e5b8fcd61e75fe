package api

import (
	"cmp"
	"sync"
)

// streams counts the open event streams, each of which queries the database as long as it is open.
type streams struct {
	limits Limits

	mu       sync.Mutex
	all      int
	byClient map[string]int
}

func newStreams(limits []Limits) *streams {
	s := &streams{byClient: map[string]int{}}
	for _, l := range limits {
		s.limits = l
	}
	s.limits.Streams, s.limits.StreamsPerClient = cmp.Or(s.limits.Streams, 128), cmp.Or(s.limits.StreamsPerClient, 16)
	return s
}

// enter counts one more stream for a client, until leave is called. ok is false when there are too many.
func (s *streams) enter(client string) (leave func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.limits.Streams || s.byClient[client] >= s.limits.StreamsPerClient {
		return nil, false
	}
	s.all++
	s.byClient[client]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.byClient[client]--; s.byClient[client] == 0 {
			delete(s.byClient, client)
		}
	}, true
}
