package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/logging"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestBodiesHaveOneBudget has a caller that begins large forms of the pages and does not end them. Once they use up the
// budget that the bodies of one caller share, the API refuses this caller's bodies, too. It still accepts those of
// others, and accepts all again when the connections are gone.
func TestBodiesHaveOneBudget(t *testing.T) {
	t.Parallel()
	pool, registry := testenv.Database(t), telemetry.NewRegistry()
	log, err := logging.New(t.Output(), "text", "info")
	if err != nil {
		t.Fatal(err)
	}
	guard := access.New(pool, access.Config{Ways: access.Ways{Keys: true}}, log.Logger, registry)
	health := &telemetry.Health{}
	server := httptest.NewServer(apiHandler(guard, pool, "UTC", celery.Config{}, api.Limits{}, log.Logger, health, nil,
		operators(health, registry, log)))
	t.Cleanup(server.Close)
	key, err := access.NewKeys(pool).Create(t.Context(), access.NewKey{Name: "alice", Role: access.Write})
	if err != nil {
		t.Fatal(err)
	}
	bob, err := access.NewKeys(pool).Create(t.Context(), access.NewKey{Name: "bob", Role: access.Write})
	if err != nil {
		t.Fatal(err)
	}
	post := func(who access.IssuedKey, path, kind, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", kind)
		if path != "/login" && path != "/logout" {
			request.Header.Set("Authorization", "Bearer "+who.Key)
		}
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		told, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(told)
	}
	address := strings.TrimPrefix(server.URL, "http://")
	var held []net.Conn
	hangUp := func() {
		for _, conn := range held {
			_ = conn.Close()
		}
	}
	t.Cleanup(hangUp)
	// begin begins bodies of some size that do not end, until one is refused.
	begin := func(clients int, path, kind string, size int) {
		t.Helper()
		answers := make(chan string, clients)
		for range clients {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, conn)
			go func() {
				fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"+
					"Content-Length: %d\r\n\r\n%s", path, address, key.Key, kind, size+1, strings.Repeat(" ", size))
				text := make([]byte, 1000)
				n, _ := conn.Read(text) // nothing when the test ends first
				answers <- string(text[:n])
			}()
		}
		select {
		case first := <-answers:
			if !strings.HasPrefix(first, "HTTP/1.1 503") || !strings.Contains(first, "\r\nConnection: close\r\n") {
				t.Errorf("%s is not refused, or its connection is used again: %s", path, first)
			}
		case <-time.After(testenv.Patience):
			t.Errorf("%s: nobody is refused", path)
		}
	}
	const form = "application/x-www-form-urlencoded"
	begin(bodies.Most/800_000+10, "/schedules/bulk", form, 800_000)
	begin(bodies.Most/domain.MaxPayload, "/api/v1/schedules", "application/json", domain.MaxPayload-1)
	sent := []struct{ path, kind, body string }{
		{"/api/v1/schedules/preview", "application/json", `{"cron_expression":"0 0 * * *","task_name":"t"}`},
		{"/login", form, url.Values{"key": {key.Key}}.Encode()},
		{"/logout", form, "next=%2F"},
		{"/preferences", form, "back=%2F"},
		{"/schedules/bulk", form, "action=disable"},
	}
	for _, s := range sent {
		if status, body := post(bob, s.path, s.kind, s.body); status >= http.StatusInternalServerError {
			t.Errorf("%s of another is refused: %s", s.path, body)
		}
	}
	hangUp()
	for _, s := range sent {
		testenv.Eventually(t, s.path+" is taken again", func() error {
			if status, body := post(key, s.path, s.kind, s.body); status >= http.StatusInternalServerError {
				return errors.New(body)
			}
			return nil
		})
	}
}
