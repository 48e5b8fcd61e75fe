package e2e_test

import (
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// span is a span as the receiver has heard of it.
type span struct {
	service, name, trace, id, parent string
	attributes                       map[string]string
}

// receiver takes traces as a collector does, by OTLP over HTTP.
type receiver struct {
	url string

	mu     sync.Mutex
	spans  []span
	denied int // requests without the header that they need
}

const receiversKey = "marked-secret"

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if err := r.take(q); err != nil {
			t.Errorf("%s %s: %v", q.Method, q.URL, err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *receiver) take(q *http.Request) error {
	var from io.Reader = q.Body
	if q.Header.Get("Content-Encoding") == "gzip" {
		unpacked, err := gzip.NewReader(q.Body)
		if err != nil {
			return err
		}
		from = unpacked
	}
	body, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	var sent collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &sent); err != nil || q.URL.Path != "/v1/traces" {
		return fmt.Errorf("at %s: %w", q.URL.Path, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if q.Header.Get("X-Key") != receiversKey {
		r.denied++
	}
	for _, of := range sent.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, in := range of.ScopeSpans {
			for _, s := range in.Spans {
				heard := span{
					service, s.Name, hex.EncodeToString(s.TraceId), hex.EncodeToString(s.SpanId),
					hex.EncodeToString(s.ParentSpanId),
					map[string]string{},
				}
				for _, a := range s.Attributes {
					heard.attributes[a.Key] = a.Value.GetStringValue()
				}
				r.spans = append(r.spans, heard)
			}
		}
	}
	return nil
}

// await waits until a span of a trace has come, and returns it.
func (r *receiver) await(t *testing.T, trace, service, name string) (found span) {
	t.Helper()
	testenv.Eventually(t, name+" of "+service, func() error {
		all := r.of(trace)
		i := slices.IndexFunc(all, func(s span) bool { return s.service == service && s.name == name })
		if i < 0 {
			return fmt.Errorf("the trace %s has %+v", trace, all)
		}
		found = all[i]
		return nil
	})
	return found
}

func (r *receiver) of(trace string) (all []span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.trace == trace {
			all = append(all, s)
		}
	}
	return all
}

// TestTraces follows a change from its request into the memory of the beat, a run from its firing to its result, and a
// run by hand in the trace of its request.
func TestTraces(t *testing.T) {
	t.Parallel()
	to := newReceiver(t)
	broker := testenv.RedisServer(t, nil)
	s := &stack{T: t, broker: broker, client: testenv.Client(t, broker.URL(0)), lost: 3600}
	s.env = []string{
		"DATABASE_URL=" + testenv.DirectURL(t), "REDIS_URL=" + broker.URL(0), "OTEL_EXPORTER_OTLP_ENDPOINT=" + to.url,
		"OTEL_EXPORTER_OTLP_HEADERS=X-Key=" + receiversKey, "OTEL_BSP_SCHEDULE_DELAY=50",
	}
	api := s.start("api")
	s.api = api.URL() + "/api/v1"
	relay := s.start("relay")
	beat := s.start("beat")
	s.work()

	const asked, askedFrom = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	const silent = "4bf92f3577b34da6a3ce929d0e0e4736"
	var made struct{ ID string }
	s.ask("POST", "/schedules", `{"cron_expression": "0 0 1 1 *", "task_name": "app.request"}`, nil, "traceparent", "00-"+silent+"-"+askedFrom+"-00")
	s.ask("POST", "/schedules", `{"interval_seconds": 1, "max_runs": 1, "task_name": "app.request"}`, &made, "traceparent", "00-"+asked+"-"+askedFrom+"-01")

	request := to.await(t, asked, "tactus-api", "POST /api/v1/schedules")
	event := to.await(t, asked, "tactus-api", "event schedule.created")
	relayed := to.await(t, asked, "tactus-relay", "relay schedule.created")
	synced := to.await(t, asked, "tactus-beat", "sync schedule.created")
	if request.parent != askedFrom || event.parent != request.id || relayed.parent != event.id || synced.parent != event.id {
		t.Errorf("the change's spans hang together otherwise: %+v", to.of(asked))
	}
	if synced.attributes["tactus.schedule.id"] != made.ID {
		t.Errorf("the beat has taken in %+v", synced)
	}
	context := "00-" + asked + "-" + event.id + "-01"
	entries, err := s.client.XRange(t.Context(), "tactus:events", "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	published := slices.IndexFunc(entries, func(e redis.XMessage) bool {
		text := fmt.Sprint(e.Values["payload"])
		return strings.Contains(text, made.ID) && strings.Contains(text, `"traceparent":"`+context+`"`)
	})
	if published < 0 {
		t.Errorf("no entry of the stream has the context %s: %v", context, entries)
	}

	run := s.ended(made.ID)
	own := strings.ReplaceAll(run.TaskID, "-", "")
	fired := to.await(t, own, "tactus-beat", "fire")
	handed := to.await(t, own, "tactus-relay", "hand over")
	result := to.await(t, own, "tactus-beat", "result")
	if fired.id != own[16:] || fired.parent != "" || handed.parent != fired.id || result.parent != fired.id {
		t.Errorf("the run's spans hang together otherwise: %+v", to.of(own))
	}
	if a := handed.attributes; a["celery.task_name"] != "app.request" || a["messaging.destination.name"] != "celery" {
		t.Errorf("it was handed over as %v", a)
	}
	if a := result.attributes; a["tactus.run.status"] != "succeeded" || a["tactus.run.id"] != run.TaskID {
		t.Errorf("it has ended as %v", a)
	}
	if seen := s.seenByTask(run.TaskID); seen != "00-"+own+"-"+fired.id+"-01" {
		t.Errorf("the task's instrumentation would see %q", seen)
	}

	const byHand = "80f198ee56343ba864fe8b2a57d3eff7"
	task := s.trigger(made.ID, "traceparent", "00-"+byHand+"-"+askedFrom+"-01")
	by := to.await(t, byHand, "tactus-api", "event run.due")
	handed = to.await(t, byHand, "tactus-relay", "hand over")
	result = to.await(t, byHand, "tactus-beat", "result")
	if handed.parent != by.id || result.parent != by.id {
		t.Errorf("the spans of the run by hand hang together otherwise: %+v", to.of(byHand))
	}
	if seen := s.seenByTask(task); seen != "00-"+byHand+"-"+by.id+"-01" {
		t.Errorf("the task by hand would see %q", seen)
	}

	if all := to.of(silent); len(all) > 0 {
		t.Errorf("a trace that is not sampled was recorded: %+v", all)
	}
	for _, p := range []*testenv.Process{api, relay, beat} {
		if p.Stop() != 0 || strings.Contains(p.Log(), receiversKey) || !strings.Contains(p.Log(), "traces are sent") {
			t.Errorf("it has logged:\n%s", p.Log())
		}
	}
	to.mu.Lock()
	defer to.mu.Unlock()
	if to.denied > 0 {
		t.Errorf("%d requests came without their header", to.denied)
	}
}

// seenByTask returns the context that the instrumentation of Celery reads from the request of a task, as app.request
// does.
func (s *stack) seenByTask(id string) string {
	s.Helper()
	var seen struct {
		TraceParent string `json:"traceparent"`
	}
	testenv.Eventually(s, "the task has run", func() error {
		return json.Unmarshal([]byte(s.client.Get(s.Context(), "request:"+id).Val()), &seen)
	})
	return seen.TraceParent
}
