package bodies_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// serve serves forms of callers who say their names. A form that was read is answered 200.
func serve(t *testing.T, most int64) (host string) {
	t.Helper()
	budget := bodies.NewBudget(most)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		release, err := budget.ReadForm(w, r, r.Header.Get("Caller"), most)
		defer release()
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// send begins a form of so many bytes and one more, and sends that one, too, if it is to end.
func send(t *testing.T, host, caller string, size int, whole bool) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(testenv.Patience))
	body := strings.Repeat("x", size)
	if whole {
		body += "x"
	}
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: %s\r\nCaller: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", host, caller, size+1, body)
	return conn
}

func status(t *testing.T, conn net.Conn) int {
	t.Helper()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil { // the end of the test
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

// TestOneCallerLeavesRoomForOthers has a caller begin more than may be held, and never end it.
func TestOneCallerLeavesRoomForOthers(t *testing.T) {
	t.Parallel()
	host := serve(t, 1<<20)
	answers := make(chan int, 3)
	for range 3 {
		conn := send(t, host, "eve", 100<<10, false)
		go func() { answers <- status(t, conn) }()
	}
	if got := <-answers; got != http.StatusServiceUnavailable {
		t.Errorf("more than a quarter of one caller: %d", got)
	}
	if got := status(t, send(t, host, "bob", 200<<10, true)); got != http.StatusOK {
		t.Errorf("another caller: %d", got)
	}
}

// TestSlowBodiesEndForOthers has callers stop in the middle of their bodies: they are ended when another has no room,
// but not when another only holds as much as one may.
func TestSlowBodiesEndForOthers(t *testing.T) {
	t.Parallel()
	host := serve(t, 1<<20)
	early := send(t, host, "carol", 60<<10, false)
	send(t, host, "bob", 200<<10, false)
	testenv.Eventually(t, "a caller's own slow body ends", func() error { return accepted(t, host, "bob", 100<<10) })
	if _, err := early.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := status(t, early); got != http.StatusOK {
		t.Errorf("a slow body of another, who need not wait for it: %d", got)
	}

	ended := make(chan int, 12)
	for n := range cap(ended) {
		conn := send(t, host, fmt.Sprint("eve", n), 60<<10, false)
		go func() { ended <- status(t, conn) }()
	}
	testenv.Eventually(t, "they hold it", func() error {
		if accepted(t, host, "carol", 250<<10) == nil {
			return errors.New("there is room")
		}
		return nil
	})
	testenv.Eventually(t, "there is room", func() error { return accepted(t, host, "carol", 250<<10) })
	if got := <-ended; got != http.StatusServiceUnavailable {
		t.Errorf("a slow body that was ended: %d", got)
	}
}

// accepted sends a whole form, and returns an error if it is refused.
func accepted(t *testing.T, host, caller string, size int) error {
	t.Helper()
	if got := status(t, send(t, host, caller, size, true)); got != http.StatusOK {
		return fmt.Errorf("%d", got)
	}
	return nil
}
