package domain_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestHalfADestinationIsRouted has routes meet tasks that name an exchange or a routing key without the other. The
// wanted destinations are those of Celery 5.2.6, whose beat merges a task's own options into those of its route.
func TestHalfADestinationIsRouted(t *testing.T) {
	t.Parallel()
	queue := domain.Route{Queue: "fast"}
	through := domain.Route{Exchange: "r", RoutingKey: "k"}
	for _, c := range []struct {
		route     domain.Route
		own, want domain.Task
	}{
		{queue, domain.Task{}, domain.Task{Queue: "fast"}},
		{queue, domain.Task{Exchange: "x"}, domain.Task{Queue: "fast", Exchange: "x"}},
		{queue, domain.Task{RoutingKey: "y"}, domain.Task{Queue: "fast", RoutingKey: "y"}},
		{queue, domain.Task{Exchange: "x", RoutingKey: "y"}, domain.Task{Exchange: "x", RoutingKey: "y"}},
		{queue, domain.Task{Queue: "own", Exchange: "x"}, domain.Task{Queue: "own", Exchange: "x"}},
		{queue, domain.Task{Exchange: "x", IgnoreRoutes: true}, domain.Task{Exchange: "x", IgnoreRoutes: true}},
		{queue, domain.Task{Exchange: "x", Stream: "s"}, domain.Task{Exchange: "x", Stream: "s"}},
		{through, domain.Task{}, domain.Task{Exchange: "r", RoutingKey: "k"}},
		{through, domain.Task{Exchange: "x"}, domain.Task{Exchange: "x", RoutingKey: "k"}},
		{through, domain.Task{RoutingKey: "y"}, domain.Task{Exchange: "r", RoutingKey: "y"}},
		{through, domain.Task{Exchange: "x", RoutingKey: "y"}, domain.Task{Exchange: "x", RoutingKey: "y"}},
		{domain.Route{}, domain.Task{Exchange: "x"}, domain.Task{Exchange: "x"}},
	} {
		got := c.route.Apply(c.own)
		if got.Queue != c.want.Queue || got.Exchange != c.want.Exchange || got.RoutingKey != c.want.RoutingKey {
			t.Errorf("%+v by %+v: got %+v", c.own, c.route, got)
		}
	}
}
