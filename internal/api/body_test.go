package api_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// ofUnknown returns a body of size bytes, which consists of unknown members.
func ofUnknown(size int) string {
	var b strings.Builder
	b.WriteByte('{')
	for n := 0; b.Len() < size-20; n++ {
		fmt.Fprintf(&b, `"k%x":1,`, n)
	}
	b.WriteString(`"name":"a"}`)
	return b.String()
}

// processorTime returns the processor time that this process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// TestBodiesCostLittle sends several bodies at once with as many unknown members as fit; so few that even a busy
// machine checks them in time. It measures their cost in processor time and in memory.
func TestBodiesCostLittle(t *testing.T) {
	s := serve(t)
	for _, c := range []struct {
		size   int
		code   string
		status int
	}{{4*domain.MaxPayload - 100, "payload_too_large", 422}, {domain.MaxPayload - 100, "unknown_field", 422}} {
		body := ofUnknown(c.size)
		s.do(t, "POST", "/schedules/preview", body).want(t, c.status)
		const bodies, clients = 100, 4
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		spent := processorTime(t)
		var wg sync.WaitGroup
		for range clients {
			wg.Go(func() {
				for range bodies / clients {
					if a := s.do(t, "POST", "/schedules/preview", body); a.status != c.status || a.member(t, "code") != c.code {
						t.Errorf("%d %.200s", a.status, a.body)
					}
				}
			})
		}
		wg.Wait()
		spent = processorTime(t) - spent
		runtime.ReadMemStats(&after)
		each := (after.TotalAlloc - before.TotalAlloc) / bodies
		t.Logf("%d bytes: %s and %d KiB each", len(body), spent/bodies, each>>10)
		if spent > bodies*80*time.Millisecond || each > 6<<20 {
			t.Errorf("%d bytes: %s of processor time and %d bytes of memory each", len(body), spent/bodies, each)
		}
	}
}

// TestBodiesAreBoundedTogether has clients that begin large bodies and do not end them. Once the bodies have reached
// their common bound, the next one is refused, and other requests are served.
func TestBodiesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	s := serve(t)
	at, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "who comes next is refused", func() error {
		first, hangUp := beginBodies(t, at.Host)
		if strings.HasPrefix(first, "HTTP/1.1 408") { // a busy machine did not take enough of them in time
			hangUp()
			return errors.New(first)
		}
		t.Cleanup(hangUp)
		if !strings.HasPrefix(first, "HTTP/1.1 503") || !strings.Contains(first, "bodies_too_large") ||
			!strings.Contains(first, "Retry-After") {
			t.Errorf("the first answer: %s", first)
		}
		return nil
	})
	s.do(t, "GET", "/schedules", "").want(t, 200)
	testenv.Eventually(t, "others are served", func() error {
		if a := s.do(t, "PUT", "/schedules/by-name/n", minutely); a.status >= 500 {
			return errors.New(a.body)
		}
		return nil
	})
}

// beginBodies begins more bodies than there may be at once, each a byte shorter than the largest, and returns the first
// answer.
func beginBodies(t *testing.T, host string) (first string, hangUp func()) {
	t.Helper()
	var all []net.Conn
	hangUp = func() {
		for _, conn := range all {
			_ = conn.Close()
		}
	}
	begun := strings.Repeat(" ", domain.MaxPayload-1)
	const clients = 64<<20/domain.MaxPayload + 20
	answers := make(chan string, clients)
	for range clients {
		conn, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, conn)
		go func() {
			fmt.Fprintf(conn, "POST /api/v1/schedules HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s",
				host, len(begun)+1, begun)
			text := make([]byte, 1000)
			n, _ := conn.Read(text) // nothing when the test ends first
			answers <- string(text[:n])
		}()
	}
	select {
	case first = <-answers:
		return first, hangUp
	case <-time.After(testenv.Patience):
		return "nobody is refused", hangUp
	}
}

// TestBodiesOfUnknownLengthAreJudgedBySize sends a large body in chunks.
func TestBodiesOfUnknownLengthAreJudgedBySize(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for size, status := range map[int]int{domain.MaxPayload + 1: 422, 5 * domain.MaxPayload: 413} {
		chunked := io.MultiReader(strings.NewReader(strings.Repeat(" ", size)))
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/schedules", chunked)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		told, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != status || !strings.Contains(string(told), "payload_too_large") {
			t.Errorf("%d bytes: %d %s", size, response.StatusCode, told)
		}
	}
}
