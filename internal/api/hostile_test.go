package api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestHostileAddresses sends texts that a database refuses, in every part of an address that takes a text.
func TestHostileAddresses(t *testing.T) {
	t.Parallel()
	s := serve(t)
	id := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	cursor := func(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
	var addresses [][2]string
	for _, bad := range []string{"%00", "a%00b", "%ff", "%C3%28", "%ed%a0%80"} {
		for _, query := range []string{"category", "tag", "name", "q", "enabled", "page", "nonsense"} {
			addresses = append(addresses, [2]string{"GET", "/schedules?" + query + "=" + bad})
		}
		addresses = append(addresses, [][2]string{
			{"GET", "/schedules?" + bad + "=x"},
			{"GET", "/schedules/" + bad},
			{"DELETE", "/schedules/" + bad},
			{"PUT", "/schedules/by-name/" + bad},
			{"GET", "/schedules/" + bad + "/history"},
			{"GET", "/tasks/" + bad + "/status"},
			{"GET", "/events?after=" + bad},
			{"GET", "/events?schedule=" + bad},
			{"GET", "/events?type=" + bad},
			{"GET", "/schedules/" + id + "/next?language=" + bad},
			{"GET", "/nowhere/" + bad},
		}...)
	}
	for _, bad := range []string{"\x00", "\xff", "1:1:\x00"} {
		for _, text := range []string{bad + "|1:1:|1:1:|0", "x|" + bad + "|1:1:|0", "x|1:1:|" + bad + "|0"} {
			addresses = append(addresses, [2]string{"GET", "/events?after=" + cursor(text)})
		}
	}
	addresses = append(addresses, [][2]string{
		{"GET", "/schedules?name=%zz"},
		{"GET", "/schedules?name=a;b"},
		{"GET", "/events?after=%zz"},
		{"GET", "/schedules?q=" + strings.Repeat("x", 10_000)},
		{"GET", "/events?after=" + strings.Repeat("x", 10_000)},
	}...)
	for _, a := range addresses {
		if got := s.do(t, a[0], a[1], `{"cron_expression":"* * * * *","task_name":"t"}`); got.status < 400 || got.status >= 500 {
			t.Errorf("%s %.80s: %d %s", a[0], a[1], got.status, got.body)
		} else if got.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.80s is no problem document: %s", a[0], a[1], got.body)
		}
	}
	for _, key := range []string{"a\xffb", strings.Repeat("k", 256)} {
		if got := s.do(t, "POST", "/schedules", strings.Replace(minutely, `"n"`, `"m"`, 1), "Idempotency-Key", key); got.status < 400 || got.status >= 500 {
			t.Errorf("key %.20q: %d %s", key, got.status, got.body)
		}
	}
	// Cursors with the right life of the log that are malformed behind it.
	real, err := base64.RawURLEncoding.DecodeString(s.do(t, "GET", "/events", "").want(t, 200).member(t, "next"))
	if err != nil {
		t.Fatal(err)
	}
	life, _, _ := strings.Cut(string(real), "|")
	for _, text := range []string{"\x00|1:1:|0", "1:1:|\x00|0", "1:1:|\xff|0", "nonsense|1:1:|0", "1:1:|nonsense|0", "||0"} {
		s.do(t, "GET", "/events?after="+cursor(life+"|"+text), "").want(t, 410)
	}
}

// TestNamesAreTakenAsTheyAre upserts by names that an address has other uses for.
func TestNamesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, name := range []string{"a", "a/", "a//", "/a", "a/b", "a%2F", "a+b", "a b", "a?b", "a#b", "..", ".", "a/../b", "é", "🍜", "a;b", "enable", "\\"} {
		at := "/schedules/by-name/" + url.PathEscape(name)
		switch name {
		case ".", "..": // PathEscape leaves them unchanged, and every client treats them as path segments
			at = "/schedules/by-name/" + strings.ReplaceAll(name, ".", "%2E")
		}
		made := s.do(t, "PUT", at, `{"cron_expression":"* * * * *","task_name":"t"}`).want(t, 201)
		if got := made.member(t, "name"); got != name {
			t.Errorf("%q was written as %q", name, got)
		}
		found := s.do(t, "GET", "/schedules?name="+url.QueryEscape(name), "").want(t, 200)
		if found.member(t, "total") != "1" || found.member(t, "schedules.0.id") != made.member(t, "id") {
			t.Errorf("%q is not found by its name: %s", name, found.body)
		}
	}
	for _, name := range []string{" a", "a ", "\ta", "a\n", "\u00a0a", "a\x01", strings.Repeat("a", 201), "0192f0c1-2345-7abc-8def-0123456789ab"} {
		refused := s.do(t, "PUT", "/schedules/by-name/"+url.PathEscape(name), `{"cron_expression":"* * * * *","task_name":"t"}`).want(t, 422)
		if code := refused.member(t, "code"); code != "name_invalid" {
			t.Errorf("%q: %s", name, refused.body)
		}
	}
	// A slash at the end of the address does not belong to the name.
	s.do(t, "PUT", "/schedules/by-name/a/", `{"cron_expression":"* * * * *","task_name":"t"}`).want(t, 200)
}

// TestManyCreatesOfOneName sends 2,000 requests at once: one creates the schedule, and all others are answered that the
// name is taken.
func TestManyCreatesOfOneName(t *testing.T) {
	t.Parallel()
	s := serve(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 2000}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	answers := map[int]int{}
	var senders sync.WaitGroup
	for range 2000 {
		senders.Go(func() {
			response, err := client.Post(s.url+"/schedules", "application/json", strings.NewReader(minutely))
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			mu.Lock()
			defer mu.Unlock()
			answers[response.StatusCode]++
		})
	}
	senders.Wait()
	if answers[201] != 1 || answers[409] != 1999 {
		t.Errorf("answers by status: %v", answers)
	}
}

// TestNothingIsAnsweredTwice watches the logs of the API and of its HTTP server during every kind of answer, and while
// clients go away in the middle of each.
func TestNothingIsAnsweredTwice(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	var said safeBuffer
	server := httptest.NewUnstartedServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(&said, nil)), celery.Config{}))
	server.Config.ErrorLog = log.New(&said, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	s := service{server.URL + "/api/v1", pool}
	id := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	s.do(t, "GET", "/schedules/"+id, "").want(t, 200)
	s.do(t, "POST", "/schedules", strings.Repeat("x", 3<<20)).want(t, 413)
	if _, err := pool.Exec(t.Context(), `update tactus.schedules set definition = (left(definition::text, -1) || ',"description":"' || repeat('x', 3000000) || '"}')::json`); err != nil {
		t.Fatal(err)
	}
	s.do(t, "GET", "/nowhere", "").want(t, 404)
	s.do(t, "TRACE", "/schedules", "").want(t, 405)
	for _, request := range []string{
		"POST /api/v1/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
		"POST /api/v1/schedules HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"POST /api/v1/schedules HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n" + strings.Repeat("x", 2<<20),
		"GET /api/v1/schedules HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /api/v1/schedules/" + id + "/history HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /api/v1/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n",
		"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /api/v1/nowhere HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		for i := range 6 {
			c, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprint(c, request)
			if i%2 == 1 { // in the middle of the answer
				if err := c.SetReadDeadline(time.Now().Add(time.Second / 2)); err != nil {
					t.Fatal(err)
				}
				_, _ = c.Read(make([]byte, 1)) // some clients go before they get a byte
			}
			if err := c.(*net.TCPConn).SetLinger(0); err != nil {
				t.Fatal(err)
			}
			c.Close() // a reset
		}
	}
	server.Close() // waits for all of them
	if strings.Contains(said.String(), "superfluous") || strings.Contains(said.String(), "panic") {
		t.Errorf("the server says: %s", said.String())
	}
}

type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
