package telemetry_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestSlowBodiesDoNotKeepAServer shuts a server down while clients send bodies a byte at a time. Each is answered, and
// the server ends by itself: Serve returns an error when it has to cut a connection. A body that comes in time is read
// to its end.
func TestSlowBodiesDoNotKeepAServer(t *testing.T) {
	t.Parallel()
	held := bodies.NewBudget(bodies.Most)
	reading := make(chan struct{}, 4)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /form", func(w http.ResponseWriter, r *http.Request) {
		reading <- struct{}{}
		release, err := held.ReadForm(w, r, "client", bodies.SmallForm)
		defer release()
		if err != nil {
			access.Answer(w, err)
			return
		}
		_, _ = io.WriteString(w, "all of it: "+r.PostFormValue("key"))
	})
	mux.HandleFunc("POST /unread", func(w http.ResponseWriter, _ *http.Request) {
		reading <- struct{}{}
		_, _ = io.WriteString(w, "not looked at")
	})
	mux.HandleFunc("POST /patient", func(w http.ResponseWriter, r *http.Request) { // as the API sets its own deadline
		reading <- struct{}{}
		<-telemetry.Draining(r.Context())
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(testenv.Patience))
		if _, err := io.ReadAll(r.Body); err != nil {
			access.Answer(w, err)
		}
	})
	address, stop, served := serve(t, mux)
	// send sends half of a form, and the rest when it is time, if ever.
	send := func(path string, rest <-chan struct{}) <-chan string {
		answered := make(chan string, 1)
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			"Content-Length: 2000\r\n\r\nkey=%s", path, address, strings.Repeat("k", 996))
		go func() {
			for {
				text := "k"
				select {
				case <-rest:
					text = strings.Repeat("k", 1_000)
				case <-time.After(100 * time.Millisecond):
				}
				if _, err := io.WriteString(conn, text); err != nil || len(text) > 1 {
					return
				}
			}
		}()
		go func() {
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				answered <- err.Error()
				return
			}
			text, err := io.ReadAll(response.Body)
			answered <- fmt.Sprint(response.Status, " ", string(text), err)
		}()
		return answered
	}
	now := make(chan struct{})
	slow, unread, patient := send("/form", nil), send("/unread", nil), send("/patient", nil)
	soon := send("/form", now)
	for range 4 {
		<-reading
	}
	stop()
	close(now)
	for _, c := range []struct {
		answered <-chan string
		want     string
	}{{slow, "server_stopping"}, {unread, "not looked at"}, {patient, "server_stopping"}, {soon, "all of it: kkk"}} {
		if got := <-c.answered; !strings.Contains(got, c.want) || strings.Contains(c.want, "_") && !strings.HasPrefix(got, "503") {
			t.Errorf("%.300s, want %s", got, c.want)
		}
	}
	if err := <-served; err != nil {
		t.Errorf("connections were cut: %v", err)
	}
}
