package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestRollingRestartRefusesNothing restarts two APIs in turn, behind a balancer that goes by /readyz, while clients
// read and write. None of them sees a request fail.
func TestRollingRestartRefusesNothing(t *testing.T) {
	t.Parallel()
	c := New(t, testenv.DatabaseURL(t), testenv.RedisURL(t), "TACTUS_DRAIN=3s")
	b := &balancer{backends: map[*url.URL]*atomic.Bool{}}
	front := httptest.NewServer(b.handler())
	defer front.Close()
	start := func() (p *testenv.Process, leave func()) {
		p = c.Start("api")
		return p, b.add(t, p)
	}
	first, leaveFirst := start()
	second, leaveSecond := start()
	defer leaveSecond()

	ctx, end := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	var answered atomic.Int64
	for i := range 8 {
		clients.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := makeAndRead(front.URL, i, n); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	more := func() {
		before := answered.Load()
		testenv.Eventually(t, "requests are answered", func() error {
			if n := answered.Load() - before; n < 200 && !t.Failed() {
				return fmt.Errorf("%d of 200", n)
			}
			return nil
		})
	}
	more()
	if code := first.Stop(); code != exitOK {
		t.Errorf("the first ended with %d: %s", code, first.Log())
	}
	leaveFirst()
	more()
	third, leaveThird := start()
	defer leaveThird()
	more()
	if code := second.Stop(); code != exitOK {
		t.Errorf("the second ended with %d: %s", code, second.Log())
	}
	more()
	end()
	clients.Wait()
	if code := third.Stop(); code != exitOK {
		t.Errorf("the third ended with %d: %s", code, third.Log())
	}
}

// makeAndRead makes a schedule, and reads it.
func makeAndRead(at string, client, n int) error {
	body := fmt.Sprintf(`{"name":"c%d-%d","cron_expression":"0 0 1 1 *","task_name":"t"}`, client, n)
	made, err := http.Post(at+"/api/v1/schedules", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	if err := expect(made, http.StatusCreated); err != nil {
		return err
	}
	read, err := http.Get(at + made.Header.Get("Location"))
	if err != nil {
		return err
	}
	return expect(read, http.StatusOK)
}

func expect(response *http.Response, status int) error {
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != status {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}

// balancer spreads requests over the backends that are ready. It asks them often, and gives each request to one only.
type balancer struct {
	mu       sync.Mutex
	backends map[*url.URL]*atomic.Bool
	next     int
}

// add has the balancer send requests to a backend once it is ready, until leave is called.
func (b *balancer) add(t *testing.T, p *testenv.Process) (leave func()) {
	t.Helper()
	to, err := url.Parse(p.URL())
	if err != nil {
		t.Fatal(err)
	}
	ready := &atomic.Bool{}
	b.mu.Lock()
	b.backends[to] = ready
	b.mu.Unlock()
	ctx, end := context.WithCancel(t.Context())
	var asking sync.WaitGroup
	asking.Go(func() {
		for ctx.Err() == nil {
			ready.Store(p.IsReady())
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	testenv.Eventually(t, "the balancer sees that it is ready", func() error {
		if !ready.Load() {
			return errors.New("it does not")
		}
		return nil
	})
	return func() {
		end()
		asking.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.backends, to)
	}
}

func (b *balancer) handler() http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(b.choose())
			r.Out.Host = r.Out.URL.Host
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 16}, // connections are kept, as balancers do
	}
}

// choose takes the ready backends in turn.
func (b *balancer) choose() *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(b.backends), func(x, y *url.URL) int { return strings.Compare(x.Host, y.Host) })
	for range all {
		b.next++
		if at := all[b.next%len(all)]; b.backends[at].Load() {
			return at
		}
	}
	return &url.URL{Scheme: "http", Host: "127.0.0.1:1"} // the client sees that none is ready
}

// TestStopsWhateverHangs stops processes whose PostgreSQL or Redis accepts connections and never answers.
func TestStopsWhateverHangs(t *testing.T) {
	t.Parallel()
	for _, process := range []string{"api", "relay", "beat"} {
		for _, hangs := range []string{"PostgreSQL", "Redis"} {
			if process == "api" && hangs == "Redis" {
				continue // it knows no Redis
			}
			t.Run(process+", "+hangs, func(t *testing.T) {
				t.Parallel()
				postgres, database := testenv.Through(t, testenv.DirectURL(t))
				redis, broker := testenv.Through(t, testenv.RedisURL(t))
				p := testenv.Program{Env: []string{"DATABASE_URL=" + database, "REDIS_URL=" + broker, "TACTUS_DRAIN=0s"}}.
					Start(t, process, "--http-addr", "127.0.0.1:0")
				p.AwaitReady()
				stopped := postgres
				if hangs == "Redis" {
					stopped = redis
				}
				stopped.BlackHole(testenv.ToServer)
				stopped.BlackHole(testenv.ToClient)
				if process != "beat" || hangs != "Redis" { // a beat polls, and is ready without Redis
					testenv.Eventually(t, "it finds out", func() error {
						if p.IsReady() {
							return errors.New("it is ready")
						}
						return nil
					})
				}
				begin := time.Now()
				code := p.Stop()
				t.Logf("ended with %d after %s", code, time.Since(begin))
				if code != exitOK && !strings.Contains(p.Log(), "tactus: ") {
					t.Errorf("ended with %d, and does not say why: %s", code, p.Log())
				}
			})
		}
	}
}
