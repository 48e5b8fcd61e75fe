package celery_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
)

// TestAddress checks that a task goes through an exchange exactly when Celery's would.
func TestAddress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		queue, exchange, routingKey string
		want                        string // a list, or an exchange and the queue behind it
	}{
		{"", "", "", "celery"},
		{"q", "", "", "q"},
		{"", "", "r", "celery"},
		{"q", "", "r", "q"},
		{"", "x", "", "celery"},
		{"q", "x", "", "q"},
		{"q", "q", "q", "q"},
		{"", "celery", "celery", "celery"},
		{"", "x", "r", "x/r -> "},
		{"q", "x", "r", "x/r -> q"},
		{"q", "x", "q", "x/q -> q"},
		{"q", "q", "r", "q/r -> q"},
	} {
		to, _, err := celery.Encode(domain.DueRun{Task: domain.Task{TaskName: "t", Queue: c.queue, Exchange: c.exchange, RoutingKey: c.routingKey}}, "tag", celery.Config{})
		got := to.Key
		if x := to.Through; x != nil {
			got += x.Name + "/" + x.RoutingKey + " -> " + x.Queue
		}
		if err != nil || got != c.want {
			t.Errorf("%+v: %s, %v", c, got, err)
		}
	}
}

// TestExchangeIsNamedAsTheBrokerIsSetUp checks every name that the broker's configuration changes.
func TestExchangeIsNamedAsTheBrokerIsSetUp(t *testing.T) {
	t.Parallel()
	cfg := celery.Config{KeyPrefix: "app1:", PrioritySeparator: "|", PrioritySteps: []int{0, 5}, Database: 3}
	to, text, err := celery.Encode(domain.DueRun{Task: domain.Task{TaskName: "t", Exchange: "x", RoutingKey: "r.k", Priority: new(7)}}, "the-tag", cfg)
	if err != nil {
		t.Fatal(err)
	}
	want := celery.Exchange{
		Name: "x", RoutingKey: "r.k", Bindings: "app1:_kombu.binding.x", Separator: "|", Channel: "app1:/3.x/r.k", Prefix: "app1:", Suffix: "|5", Tag: "the-tag",
	}
	if diff := cmp.Diff(want, *to.Through); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(string(text), `"exchange":"","routing_key":"the-tag"`) || !strings.Contains(string(text), `"delivery_tag":"the-tag"`) {
		t.Errorf("the message has no placeholder for the queue: %s", text)
	}
	if got := to.Through.Lists([]string{"r.k||one", "r.*|^r|two", "broken"}); !slices.Equal(got, []string{"app1:one|5", "app1:two|5"}) {
		t.Errorf("lists %q", got)
	}
}
