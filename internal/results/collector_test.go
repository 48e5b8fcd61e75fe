package results

import (
	"bytes"
	"compress/zlib"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// start runs a collector until the function that it returns is called, or until t ends.
func start(t *testing.T, c *Collector) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil // for a second call of stop
	}
	t.Cleanup(stop)
	return stop
}

// await waits until a run has a status.
func (s site) await(t *testing.T, id domain.ID, status domain.RunStatus) row {
	t.Helper()
	testenv.Eventually(t, "the run is "+string(status), func() error {
		if r := s.row(t, id); r.Status != string(status) {
			return fmt.Errorf("it is %+v", r)
		}
		return nil
	})
	return s.row(t, id)
}

// awaitListener waits until a client has subscribed to a pattern. A server counts the subscriptions of all its
// databases together, so no other test may use the same server.
func awaitListener(t *testing.T, client *redis.Client) {
	t.Helper()
	testenv.Eventually(t, "somebody listens", func() error {
		if n, err := client.PubSubNumPat(t.Context()).Result(); err != nil || n == 0 {
			return fmt.Errorf("%d patterns, %w", n, err)
		}
		return nil
	})
}

// answerAs stores a result as a worker does and, if publish is set, publishes it as well, as a worker does.
func answerAs(t *testing.T, client *redis.Client, id domain.ID, text string, publish bool) {
	t.Helper()
	key := celery.ResultPrefix + id.String()
	if err := client.Set(t.Context(), key, text, time.Hour).Err(); err != nil {
		t.Fatal(err)
	}
	if publish {
		if err := client.Publish(t.Context(), key, text).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

func succeeded(id domain.ID, result string) string {
	return fmt.Sprintf(`{"status":"SUCCESS","result":%s,"traceback":null,"children":[],"date_done":"2026-11-24T12:00:00","task_id":"%s"}`, result, id)
}

// TestFindsWhatWasAnsweredMeanwhile has results that came while no collector was listening.
func TestFindsWhatWasAnsweredMeanwhile(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	schedule := s.schedule(t, domain.Definition{})
	var ids []domain.ID
	for i := range 3 * pageSize / 2 {
		id := s.run(t, schedule, domain.Sent, time.Duration(i)*time.Minute)
		answerAs(t, backend, id, succeeded(id, fmt.Sprint(i)), false)
		ids = append(ids, id)
	}
	silent := s.run(t, schedule, domain.Sent, time.Minute)
	if err := s.collector(t, backend, nil, Config{}).Sweep(t.Context(), oldest(0)); err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if r := s.row(t, id); r.Status != "succeeded" || r.Result != fmt.Sprint(i) {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	if r := s.row(t, silent); r.Status != "sent" {
		t.Errorf("without an answer: %+v", r)
	}
}

// TestHearsWhatIsPublished has a result that no sweep can find: none is due, and its key is gone. The published message
// is enough.
func TestHearsWhatIsPublished(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Client(t, testenv.RedisServer(t, nil).URL(0))
	id := s.run(t, s.schedule(t, domain.Definition{}), domain.Sent, time.Second)
	start(t, s.collector(t, backend, nil, Config{Every: time.Hour}))
	awaitListener(t, backend)
	if err := backend.Publish(t.Context(), celery.ResultPrefix+id.String(), succeeded(id, `"ok"`)).Err(); err != nil {
		t.Fatal(err)
	}
	if r := s.await(t, id, domain.Succeeded); r.Result != `"ok"` {
		t.Errorf("%+v", r)
	}
}

// TestRecordsWhatCanBeRead has results that can only be read in part. The readable part is recorded, and the problem is
// logged once.
func TestRecordsWhatCanBeRead(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	schedule := s.schedule(t, domain.Definition{})
	ids := map[string]domain.ID{}
	for _, member := range []string{
		`"date_done":"yesterday"`, `"date_done":1767355200.5`, `"traceback":["a","b"]`, `"worker":{"name":"w"}`,
		`"traceback":{},"worker":[],"date_done":{}`,
	} {
		ids[member] = s.run(t, schedule, domain.Sent, time.Minute)
		answerAs(t, backend, ids[member], fmt.Sprintf(`{"status":"SUCCESS","result":5,"task_id":"%s",%s}`, ids[member], member), false)
	}
	var log bytes.Buffer
	c, err := New(s.pool, backend, nil, slog.New(slog.NewTextHandler(&log, nil)), Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Sweep(t.Context(), oldest(0)); err != nil {
		t.Fatal(err)
	}
	for member, id := range ids {
		if r := s.row(t, id); r.Status != "succeeded" || r.Result != "5" || !r.Finished || r.Reason != "" {
			t.Errorf("%s: %+v", member, r)
		}
	}
	if n := testutil.ToFloat64(c.metrics.unreadable); n != float64(len(ids)) || strings.Count(log.String(), "cannot be read") != 1 {
		t.Errorf("%g are counted, the log says: %s", n, log.String())
	}
}

func TestReadsCompressedAndOversized(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	schedule := s.schedule(t, domain.Definition{})
	packed, large, pickled := s.run(t, schedule, domain.Sent, time.Second),
		s.run(t, schedule, domain.Sent, time.Second), s.run(t, schedule, domain.Sent, 25*time.Hour)
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	if _, err := w.Write([]byte(succeeded(packed, `"値"`))); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	answerAs(t, backend, packed, b.String(), false)
	answerAs(t, backend, large, succeeded(large, `"`+string(bytes.Repeat([]byte("x"), 1<<20))+`"`), false)
	answerAs(t, backend, pickled, "\x80\x04\x95", false)
	if err := s.collector(t, backend, nil, Config{}).Sweep(t.Context(), oldest(0)); err != nil {
		t.Fatal(err)
	}
	if r := s.row(t, packed); r.Result != `"値"` {
		t.Errorf("compressed: %+v", r)
	}
	if r := s.row(t, large); r.Status != "succeeded" || len(r.Result) > 2*maxHead {
		t.Errorf("large: %.300v", r)
	}
	if r := s.row(t, pickled); r.Status != "unknown" || r.Reason == "" {
		t.Errorf("pickled: %+v", r)
	}
}

// TestWaitsForABackendThatIsDown checks that no run is concluded while the backend is down, and that results which are
// there afterwards are found.
func TestWaitsForABackendThatIsDown(t *testing.T) {
	t.Parallel()
	s, server := newSite(t), testenv.RedisServer(t, map[string]string{"appendonly": "yes", "appendfsync": "always"})
	backend := testenv.Client(t, server.URL(0))
	schedule := s.schedule(t, domain.Definition{})
	answered, silent := s.run(t, schedule, domain.Sent, 25*time.Hour), s.run(t, schedule, domain.Sent, 25*time.Hour)
	answerAs(t, backend, answered, succeeded(answered, `1`), false)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	c := s.collector(t, backend, backend, Config{Every: 50 * time.Millisecond})
	if err := c.Sweep(t.Context(), oldest(0)); err == nil {
		t.Fatal("a backend that is down is no error")
	}
	start(t, c)
	if r := s.row(t, silent); r.Status != "sent" {
		t.Errorf("concluded without asking: %+v", r)
	}
	if err := server.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.await(t, answered, domain.Succeeded)
	s.await(t, silent, domain.Unknown)
	later := s.run(t, schedule, domain.Sent, time.Second)
	answerAs(t, backend, later, succeeded(later, `2`), true)
	s.await(t, later, domain.Succeeded)
}

// TestOutlivesBrokenSubscriptions cuts the connections again and again while results are published.
func TestOutlivesBrokenSubscriptions(t *testing.T) {
	t.Parallel()
	s, server := newSite(t), testenv.RedisServer(t, nil)
	backend := testenv.Client(t, server.URL(0))
	schedule := s.schedule(t, domain.Definition{})
	start(t, s.collector(t, testenv.Client(t, server.URL(0)), nil, Config{Every: time.Hour}))
	for i := range 20 {
		id := s.run(t, schedule, domain.Sent, time.Second)
		if i%3 == 0 {
			if err := backend.ClientKillByFilter(t.Context(), "TYPE", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
		}
		answerAs(t, backend, id, succeeded(id, fmt.Sprint(i)), true)
		s.await(t, id, domain.Succeeded)
	}
}

// TestTimeLimitsOfSilence checks that runs that will never answer are concluded, each kind with its reason.
func TestTimeLimitsOfSilence(t *testing.T) {
	t.Parallel()
	s, backend := newSite(t), testenv.Redis(t)
	plain, stream := s.schedule(t, domain.Definition{}), s.schedule(t, domain.Definition{Stream: "jobs"})
	ignoring, expiring := s.schedule(t, domain.Definition{IgnoreResult: true}),
		s.schedule(t, domain.Definition{ExpiresSeconds: 60})
	silent, young := s.run(t, plain, domain.Sent, 25*time.Hour), s.run(t, plain, domain.Sent, 23*time.Hour)
	ignored, written := s.run(t, ignoring, domain.Sent, 25*time.Hour), s.run(t, stream, domain.Sent, 25*time.Hour)
	expired, waiting := s.run(t, expiring, domain.Sent, 2*time.Hour), s.run(t, plain, domain.Due, 25*time.Hour)
	s.exec(t, `update tactus.runs set expires_at = fired_at + interval '60 seconds' where id = $1`, expired)
	s.exec(t, `update tactus.runs set waiting = true where id = $1`, waiting)
	if err := s.collector(t, backend, nil, Config{}).Sweep(t.Context(), oldest(0)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[domain.ID]string{
		silent: "unknown", young: "sent", ignored: "unknown", written: "sent",
		expired: "expired", waiting: "due",
	} {
		if r := s.row(t, id); r.Status != want || r.Finished == (id == young || id == waiting) ||
			(r.Reason != "") != (r.Finished && id != written) {
			t.Errorf("want %s: %+v", want, r)
		}
	}
}
