package access_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
)

func proxied(from string) access.Config {
	return access.Config{
		Ways:   access.Ways{Keys: true, Proxy: true},
		Groups: access.Groups{"ops": access.Admin, "cn=dev,ou=x": access.Write, "*": access.Read},
		Proxies: access.Proxies{
			From: []netip.Prefix{netip.MustParsePrefix(from)}, UserHeader: "X-User", GroupsHeader: "X-Groups",
		},
	}
}

// TestProxy has a proxy say who asks, and somebody who is none.
func TestProxy(t *testing.T) {
	t.Parallel()
	w := serve(t, proxied("127.0.0.0/8"))
	key := w.key(t, "deploy", access.Read).Key
	for _, c := range []struct {
		headers []string
		who     string
		admin   int
	}{
		{nil, "", 401},
		{[]string{"X-User", "alice", "X-Groups", "dev, ops"}, "proxy:alice", 200},
		{[]string{"X-User", "alice"}, "proxy:alice", 403},
		{[]string{"X-Groups", "ops"}, "", 401},
		{[]string{"X-User", "alice", "X-Groups", "ops", "Authorization", "Bearer " + key}, "key:deploy", 403},
	} {
		if _, who := w.ask(t, once, "GET", "/who", nil, c.headers...); who != c.who {
			t.Errorf("%v is %q, want %q", c.headers, who, c.who)
		}
		if response, body := w.ask(t, once, "GET", "/admin", nil, c.headers...); response.StatusCode != c.admin {
			t.Errorf("%v: %d %s", c.headers, response.StatusCode, body)
		}
	}
	response, _ := w.ask(t, once, "POST", "/login", url.Values{"key": {key}}, "X-Forwarded-Proto", "https")
	if c := response.Cookies(); len(c) != 1 || !c[0].Secure || c[0].Name != "__Host-tactus_session" {
		t.Errorf("the cookie of a client that speaks TLS with the proxy: %v", c)
	}
	for _, chain := range []string{"https, http", "http, https"} {
		response, _ = w.ask(t, once, "POST", "/login", url.Values{"key": {key}}, "X-Forwarded-Proto", chain)
		if c := response.Cookies(); len(c) != 1 || !c[0].Secure || c[0].Name != "__Host-tactus_session" {
			t.Errorf("the cookie over %q: %v", chain, c)
		}
	}

	elsewhere := serve(t, proxied("10.0.0.0/8"))
	if _, who := elsewhere.ask(t, once, "GET", "/who", nil, "X-User", "alice", "X-Groups", "ops"); who != "" {
		t.Errorf("whoever is no proxy is %q", who)
	}
	key = elsewhere.key(t, "deploy", access.Read).Key
	response, _ = elsewhere.ask(t, once, "POST", "/login", url.Values{"key": {key}}, "X-Forwarded-Proto", "https")
	if c := response.Cookies(); len(c) != 1 || c[0].Secure {
		t.Errorf("%v", c)
	}
}

// TestCookiesOfSiblings has a sibling host set the cookies that are taken without TLS.
func TestCookiesOfSiblings(t *testing.T) {
	t.Parallel()
	w := serve(t, proxied("127.0.0.1/32"))
	response, _ := w.ask(t, once, "POST", "/login", url.Values{"key": {w.key(t, "mallory", access.Read).Key}})
	c := response.Cookies()[0]
	for _, is := range []struct{ cookie, proto, who string }{
		{"tactus_session", "http", "key:mallory"},
		{"tactus_session", "https", ""},
		{"__Host-tactus_session", "https", "key:mallory"},
		{"tactus_session", "https, http", ""},
		{"__Host-tactus_session", "https, http", "key:mallory"},
		{"tactus_session", "http,HTTPS ", ""},
		{"tactus_session", "http, http", "key:mallory"},
	} {
		if _, who := w.ask(t, once, "GET", "/who", nil, "Cookie", is.cookie+"="+c.Value, "X-Forwarded-Proto", is.proto); who != is.who {
			t.Errorf("%s over %s is of %q, want %q", is.cookie, is.proto, who, is.who)
		}
	}
}

// TestSessionsEndWithTheirWay opens a session by a key, which a process that takes no keys does not know.
func TestSessionsEndWithTheirWay(t *testing.T) {
	t.Parallel()
	w := serve(t, withKeys)
	response, _ := w.ask(t, once, "POST", "/login", url.Values{"key": {w.key(t, "alice", access.Admin).Key}})
	cookie := "tactus_session=" + response.Cookies()[0].Value
	closed := proxied("10.0.0.0/8")
	closed.Ways.Keys = false
	guard := access.New(w.pool, closed, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/who", nil)
	r.Header.Set("Cookie", cookie)
	guard.Middleware(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if who := access.From(r.Context()); who.Kind != access.Nobody {
			t.Errorf("it is of %s", who.Actor())
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
	if _, who := w.ask(t, once, "GET", "/who", nil, "Cookie", cookie); who != "key:alice" {
		t.Errorf("it is of %q", who)
	}
}

// TestGuessingBehindAProxy has one client of a proxy guess, and others send keys.
func TestGuessingBehindAProxy(t *testing.T) {
	t.Parallel()
	w := serve(t, proxied("127.0.0.1/32"))
	for range 20 {
		w.ask(t, once, "POST", "/login", url.Values{"key": {"guess"}}, "X-Forwarded-For", "198.51.100.1, 203.0.113.9")
	}
	guess, key := url.Values{"key": {"another"}}, url.Values{"key": {w.key(t, "alice", access.Read).Key}}
	for _, c := range []struct {
		key    url.Values
		from   string
		status int
	}{
		{guess, "198.51.100.1, 203.0.113.9", 429},
		{guess, "203.0.113.9, 198.51.100.1", 401},
		{key, "198.51.100.1, 203.0.113.9", 204},
		{key, "203.0.113.9, 198.51.100.1", 204},
	} {
		if response, body := w.ask(t, once, "POST", "/login", c.key, "X-Forwarded-For", c.from); response.StatusCode != c.status {
			t.Errorf("from %s: %d %s, want %d", c.from, response.StatusCode, body, c.status)
		}
	}
}

// TestHeadersThatComeTwice has a proxy add its headers to those of a client, who would choose by them who it is.
func TestHeadersThatComeTwice(t *testing.T) {
	t.Parallel()
	w := serve(t, proxied("127.0.0.0/8"))
	for _, c := range []struct {
		header http.Header
		status int
	}{
		{http.Header{"X-User": {"alice"}, "X-Groups": {"ops"}}, 200},
		{http.Header{"X-User": {"alice", "bob"}, "X-Groups": {"ops"}}, 401},
		{http.Header{"X-User": {"bob", ""}, "X-Groups": {"ops"}}, 401},
		{http.Header{"X-User": {"bob"}, "X-Groups": {"ops", "none"}}, 401},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.url+"/admin", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header = c.header
		response, err := once.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != c.status {
			t.Errorf("%v: %d, want %d", c.header, response.StatusCode, c.status)
		}
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	g, err := access.ParseGroups(" ops=admin, cn=dev=write ,*=read,")
	if err != nil || len(g) != 3 || g["ops"] != access.Admin || g["cn=dev"] != access.Write || g["*"] != access.Read {
		t.Errorf("%v, %v", g, err)
	}
	for _, text := range []string{"ops", "ops=king", "=read", "ops="} {
		if g, err := access.ParseGroups(text); err == nil {
			t.Errorf("%q: %v", text, g)
		}
	}
	if _, err := access.ParsePrefixes([]string{"10.0.0.0/8", "::1", " 192.0.2.7"}); err != nil {
		t.Error(err)
	}
	if _, err := access.ParsePrefixes([]string{"proxy.example"}); err == nil {
		t.Error("a name is no address")
	}
}
