package celery_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
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

// TestRoutedAsCelery has a real Celery send tasks with all parts of a destination by all kinds of routes, and compares
// where they go. A queue beside a route with an exchange is left out: here a queue takes the place of both.
func TestRoutedAsCelery(t *testing.T) {
	t.Parallel()
	type sending struct {
		Route, Own domain.Task
		To         string
	}
	var sendings []sending
	for _, route := range []domain.Task{
		{}, {Queue: "fast"}, {Exchange: "r", RoutingKey: "k"}, {Queue: "fast", Exchange: "r", RoutingKey: "k"},
	} {
		for n := range 1 << 3 {
			own := domain.Task{}
			for bit, set := range []func(){
				func() { own.Exchange = "x" }, func() { own.RoutingKey = "y" }, func() { own.Queue = "own" },
			} {
				if n&(1<<bit) != 0 {
					set()
				}
			}
			if own.Queue == "" || route.Exchange == "" {
				sendings = append(sendings, sending{Route: route, Own: own})
			}
		}
	}
	raw, err := json.Marshal(sendings)
	if err != nil {
		t.Fatal(err)
	}
	printed := testenv.BesideCelery(t, `import celery`, `
import json, sys
import celery

PARTS = ("queue", "exchange", "routing_key")
sent = []
all = json.loads(sys.argv[1])
for one in all:
    app = celery.Celery("app", broker="memory://", set_as_current=False)
    app.conf.task_routes = {"t": {part: one["Route"][part] for part in PARTS if part in one["Route"]}}
    app.amqp.Producer.publish = lambda self, *_, **options: sent.append(options)
    app.send_task("t", **{part: one["Own"][part] for part in PARTS if part in one["Own"]})
    options = sent.pop()
    one["To"] = options["exchange"] + "/" + options["routing_key"] if options["exchange"] else options["routing_key"]
print(json.dumps(all))
`, []string{string(raw)})
	if err := json.Unmarshal(printed, &sendings); err != nil {
		t.Fatal(err)
	}
	for _, s := range sendings {
		route := domain.Route{Queue: s.Route.Queue, Exchange: s.Route.Exchange, RoutingKey: s.Route.RoutingKey}
		task := route.Apply(s.Own)
		task.TaskName, task.Args, task.Kwargs = "t", nil, nil
		to, _, err := celery.Encode(domain.DueRun{Task: task}, "tag", celery.Config{})
		got := to.Key
		if x := to.Through; x != nil {
			got = x.Name + "/" + x.RoutingKey
		}
		if err != nil || got != s.To {
			t.Errorf("%+v by %+v goes to %s, %v; Celery sends it to %s", s.Own, route, got, err, s.To)
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
