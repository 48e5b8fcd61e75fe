package access_test

import (
	"bufio"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestFormsOfStrangersAreSmall begins large forms that do not end: nobody waits for their ends.
func TestFormsOfStrangersAreSmall(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	address := strings.TrimPrefix(w.url, "http://")
	for _, path := range []string{"/login", "/logout"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(testenv.Patience))
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
			"Content-Length: 9900000\r\n\r\nnext=/%s", path, address, strings.Repeat("x", bodies.SmallForm))
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s: %d, want 413", path, response.StatusCode)
		}
	}
}

// TestFormsOfStrangersCount sends forms when those of an address hold as much as they may.
func TestFormsOfStrangersCount(t *testing.T) {
	t.Parallel()
	guard := access.New(testenv.Database(t), withKeys, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	mux := http.NewServeMux()
	held := bodies.NewBudget(40)
	guard.Mount(mux, held)
	const stranger = "192.0.2.1" // from where the requests of httptest come
	fill := func() *bodies.Reader {
		full := held.Reader(httptest.NewRecorder(), stranger, strings.NewReader("ten bytes."))
		if _, err := full.ReadAll(bodies.SmallForm); err != nil {
			t.Fatal(err)
		}
		return full
	}
	other := fill()
	for _, path := range []string{"/login", "/logout"} {
		post := func() *httptest.ResponseRecorder {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("next=%2F"))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			answer := httptest.NewRecorder()
			guard.Middleware(mux).ServeHTTP(answer, request)
			return answer
		}
		if a := post(); a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") == "" ||
			!strings.Contains(a.Body.String(), "bodies_too_large") {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
		other.Release()
		if a := post(); a.Code >= http.StatusInternalServerError {
			t.Errorf("%s: %d %s", path, a.Code, a.Body)
		}
		other = fill()
	}
}

// TestOpenToWhoeverAsks sends a key that never was, and a reason that is no text, to what is for
// everybody, and to what is not.
func TestOpenToWhoeverAsks(t *testing.T) {
	t.Parallel()
	guard := access.New(testenv.Database(t), withKeys, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	open := guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who := access.From(r.Context()); r.URL.Path != "/livez" && who.Kind != access.Nobody {
			t.Errorf("%s: a bad credential is %+v", r.URL.Path, who)
		}
	}))
	for path, want := range map[string]bool{
		"/livez": true, "/readyz": true, "/docs": true, "/openapi.json": true, "/openapi.yaml": true, "/openapi-3.0.json": true,
		"/openapi-3.0.yaml": true, "/login": true, "/assets/app.css": true,
		"/metrics": false, "/": false, "/api/v1/schedules": false, "/docs/": false, "/readyz/": false, "/assets": false,
		"/openapi.json/x": false, "/login/x": false,
	} {
		for name, value := range map[string]string{"Authorization": "Bearer none", "X-Tactus-Reason": "\xff"} {
			request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody)
			request.Header.Set(name, value)
			answer := httptest.NewRecorder()
			if open.ServeHTTP(answer, request); answer.Code < 300 != want {
				t.Errorf("%s with a bad %s: %d", path, name, answer.Code)
			}
		}
	}
}
