package telemetry_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tactus-dev/tactus/internal/telemetry"
)

// serve runs a server until stop is called. served then returns the server's error.
func serve(t *testing.T, handler http.Handler) (address string, stop func(), served <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := telemetry.NewHosts(l.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- telemetry.Serve(ctx, l, hosts, handler, telemetry.Drain{}) }()
	t.Cleanup(cancel)
	return l.Addr().String(), cancel, ended
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(raw)
}

// TestServeFinishesWhatItHasInHand shuts a server down in the middle of a request.
func TestServeFinishesWhatItHasInHand(t *testing.T) {
	t.Parallel()
	begun, goOn := make(chan struct{}), make(chan struct{})
	address, stop, served := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-goOn
		if r.Context().Err() != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = io.WriteString(w, "done") // the client is part of this test
	}))
	go func() {
		<-begun
		stop()
		close(goOn)
	}()
	if status, body := get(t, "http://"+address); status != http.StatusOK || body != "done" {
		t.Errorf("%d %s", status, body)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestSlowHeaders begins a request and never ends it: the connection is closed, and other clients are served meanwhile.
func TestSlowHeaders(t *testing.T) {
	t.Parallel()
	health := &telemetry.Health{}
	address, _, _ := serve(t, telemetry.Mux(health, telemetry.NewRegistry()))
	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := io.WriteString(slow, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "); err != nil {
		t.Fatal(err)
	}
	if status, _ := get(t, "http://"+address+"/livez"); status != http.StatusOK {
		t.Errorf("another client: %d", status)
	}
	if err := slow.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(slow)
	if err != nil || len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 408") {
		t.Errorf("%q, %v", answer, err)
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	health := &telemetry.Health{}
	address, _, _ := serve(t, telemetry.Mux(health, telemetry.NewRegistry()))
	health.Fact("answer", "42")
	if status, body := get(t, "http://"+address+"/readyz?verbose"); status != http.StatusOK || !strings.Contains(body, `"answer":"42"`) {
		t.Errorf("%d %s", status, body)
	}
	health.Add("moon", func(context.Context) error { return errors.New("not full") })
	if status, body := get(t, "http://"+address+"/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"moon":"not full"`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body := get(t, "http://"+address+"/livez"); status != http.StatusOK {
		t.Errorf("/livez of a process that is not ready: %d %s", status, body)
	}
	if status, body := get(t, "http://"+address+"/metrics"); status != http.StatusOK || !strings.Contains(body, "go_goroutines") {
		t.Errorf("%d %s", status, body)
	}
}

// TestReadinessBlamesOnlyWhatIsSlow has one condition that answers at its deadline, before others that hold and take a
// while.
func TestReadinessBlamesOnlyWhatIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var health telemetry.Health
		health.Add("slow", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		well := func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Second):
				return nil
			}
		}
		health.Add("well", well)
		health.Add("well too", well)
		health.Add("twice", func(context.Context) error { return errors.New("one") })
		health.Add("twice", func(context.Context) error { return errors.New("two") })
		began := time.Now()
		got := health.Ready(t.Context())
		if want := map[string]string{"slow": "context deadline exceeded", "twice": "one; two"}; !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}
