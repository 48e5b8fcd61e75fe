package access_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// provider is an OpenID Connect provider, with whoever is logged in there.
type provider struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu       sync.Mutex
	claims   map[string]any
	keysRead atomic.Int64
	asked    url.Values // what the login that is under way asks for
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, claims: map[string]any{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		p.write(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		p.keysRead.Add(1)
		p.write(w, map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
		}}})
	})
	mux.HandleFunc("POST /token", p.exchange)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) write(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		p.t.Error(err)
	}
}

// exchange answers a code with a token, to whoever has begun the login (PKCE).
func (p *provider) exchange(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if r.PostFormValue("code") != "code" || p.asked.Get("code_challenge_method") != "S256" ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != p.asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		p.write(w, map[string]string{"error": "invalid_grant"})
		return
	}
	claims := map[string]any{"nonce": p.asked.Get("nonce")}
	maps.Copy(claims, p.claims)
	p.write(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": p.token(claims)})
}

// token signs claims. Those that every token needs have values of their own unless given.
func (p *provider) token(claims map[string]any) string {
	all := map[string]any{"iss": p.URL, "sub": "s-1", "aud": "tactus", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	body, err := json.Marshal(all)
	if err != nil {
		p.t.Error(err)
	}
	signed := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"k","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(body)
	hash := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, hash[:])
	if err != nil {
		p.t.Error(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (p *provider) world(t *testing.T) world {
	t.Helper()
	return serve(t, access.Config{
		Ways:   access.Ways{Keys: true, OIDC: true},
		Groups: access.Groups{"ops": access.Admin, "dev": access.Read},
		OIDC: access.OIDC{
			Issuer: p.URL, ClientID: "tactus", Redirect: "http://tactus.example/oidc/callback", Scopes: []string{"email"},
			UserClaim: "email", GroupsClaim: "groups",
		},
	})
}

// TestBearerTokens sends tokens of the provider, and such as it would not issue.
func TestBearerTokens(t *testing.T) {
	t.Parallel()
	p, other := newProvider(t), newProvider(t)
	w := p.world(t)
	for name, c := range map[string]struct {
		token, who string
		admin      int
	}{
		"an admin":               {p.token(map[string]any{"email": "alice@example.org", "groups": []string{"dev", "ops"}}), "subject:alice@example.org", 200},
		"one group, as a text":   {p.token(map[string]any{"email": "bob@example.org", "groups": "dev"}), "subject:bob@example.org", 403},
		"unproven, as a text":    {p.token(map[string]any{"email": "boss@example.org", "email_verified": "false", "groups": []string{"dev"}}), "subject:s-1", 403},
		"unproven, otherwise":    {p.token(map[string]any{"email": "boss@example.org", "email_verified": "False", "groups": []string{"dev"}}), "subject:s-1", 403},
		"unproven, as a number":  {p.token(map[string]any{"email": "boss@example.org", "email_verified": 0, "groups": []string{"dev"}}), "subject:s-1", 403},
		"unproven, as nothing":   {p.token(map[string]any{"email": "boss@example.org", "email_verified": nil, "groups": []string{"dev"}}), "subject:s-1", 403},
		"proven, as a text":      {p.token(map[string]any{"email": "bob@example.org", "email_verified": "true", "groups": []string{"dev"}}), "subject:bob@example.org", 403},
		"proven":                 {p.token(map[string]any{"email": "bob@example.org", "email_verified": true, "groups": []string{"dev"}}), "subject:bob@example.org", 403},
		"an address of no proof": {p.token(map[string]any{"email": "alice@example.org", "email_verified": false, "groups": []string{"dev"}}), "subject:s-1", 403},
		"no group":               {p.token(nil), "subject:s-1", 403},
		"expired":                {p.token(map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}), "credentials_expired", 401},
		"for somebody else":      {p.token(map[string]any{"aud": "other"}), "credentials_invalid", 401},
		"of another issuer":      {other.token(nil), "credentials_invalid", 401},
		"of another key":         {other.token(map[string]any{"iss": p.URL}), "credentials_invalid", 401},
		"unsigned":               {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(p.token(nil), ".")[1] + ".", "credentials_invalid", 401},
		"no token":               {"x.y.z", "credentials_invalid", 401},
	} {
		if _, who := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+c.token); !strings.Contains(who, c.who) {
			t.Errorf("%s is %q, want %q", name, who, c.who)
		}
		if c.admin == 401 {
			continue // failures are counted
		}
		if response, body := w.ask(t, once, "GET", "/admin", nil, "Authorization", "Bearer "+c.token); response.StatusCode != c.admin {
			t.Errorf("%s: %d %s", name, response.StatusCode, body)
		}
	}
	key := w.key(t, "deploy", access.Read).Key
	if _, who := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+key); who != "key:deploy" {
		t.Errorf("a key is %q", who)
	}
}

// TestBadTokensOfANeighbour sends tokens of another provider, from the address of somebody who has good ones. The
// issuer is asked for its keys no more often than once a second, whatever comes.
func TestBadTokensOfANeighbour(t *testing.T) {
	t.Parallel()
	p, other := newProvider(t), newProvider(t)
	w := p.world(t)
	begun, statuses := time.Now(), map[int]int{}
	for range 30 {
		response, _ := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+other.token(map[string]any{"iss": p.URL}))
		statuses[response.StatusCode]++
	}
	if statuses[401] < 10 || statuses[429] == 0 || statuses[401]+statuses[429] != 30 {
		t.Errorf("%v", statuses)
	}
	if _, who := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+p.token(nil)); who != "subject:s-1" {
		t.Errorf("a good token is %q", who)
	}
	if most := 2 + int64(time.Since(begun)/time.Second); p.keysRead.Load() > most {
		t.Errorf("the issuer's keys were read %d times, want at most %d", p.keysRead.Load(), most)
	}
}

// TestLoginByOIDC logs in by the provider, and in the ways in which somebody else would want a browser to.
func TestLoginByOIDC(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	w := p.world(t)
	begin := func(next string) (state string, cookie *http.Cookie) {
		t.Helper()
		response, body := w.ask(t, once, "GET", "/oidc/login?next="+url.QueryEscape(next), nil)
		at, err := url.Parse(response.Header.Get("Location"))
		if err != nil || response.StatusCode != http.StatusSeeOther || !strings.HasPrefix(at.String(), p.URL+"/authorize?") || len(response.Cookies()) != 1 {
			t.Fatalf("%d %v %s", response.StatusCode, response.Header, body)
		}
		p.mu.Lock()
		p.asked = at.Query()
		p.mu.Unlock()
		if at.Query().Get("scope") != "openid email" || at.Query().Get("redirect_uri") != "http://tactus.example/oidc/callback" || !response.Cookies()[0].HttpOnly {
			t.Errorf("%v %v", at, response.Cookies())
		}
		return at.Query().Get("state"), response.Cookies()[0]
	}
	end := func(query string, cookie *http.Cookie) (*http.Response, string) {
		t.Helper()
		return w.ask(t, once, "GET", "/oidc/callback?"+query, nil, "Cookie", cookie.Name+"="+cookie.Value)
	}
	is := func(claims map[string]any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.claims = claims
	}
	alice := map[string]any{"email": "alice@example.org", "groups": []string{"ops"}}

	is(alice)
	state, cookie := begin("/schedules?page=2")
	response, body := end("code=code&state="+state, cookie)
	if response.StatusCode != http.StatusSeeOther || response.Header.Get("Location") != "/schedules?page=2" {
		t.Fatalf("%d %v %s", response.StatusCode, response.Header, body)
	}
	var session *http.Cookie
	for _, c := range response.Cookies() {
		if c.Name == "tactus_session" {
			session = c
		}
	}
	if session == nil {
		t.Fatalf("no session: %v", response.Cookies())
	}
	if _, who := w.ask(t, once, "GET", "/who", nil, "Cookie", session.Name+"="+session.Value); who != "subject:alice@example.org" {
		t.Errorf("the session is of %q", who)
	}
	if response, _ := w.ask(t, once, "GET", "/admin", nil, "Cookie", session.Name+"="+session.Value); response.StatusCode != 200 {
		t.Errorf("%d", response.StatusCode)
	}

	refused := func(what string, status int, query string, cookie *http.Cookie) {
		t.Helper()
		response, body := end(query, cookie)
		if response.StatusCode != status || strings.Contains(strings.Join(response.Header.Values("Set-Cookie"), " "), "tactus_session") {
			t.Errorf("%s: %d %v %s", what, response.StatusCode, response.Header, body)
		}
	}
	_, cookie = begin("/")
	refused("another login's state", 401, "code=code&state="+state, cookie)
	refused("no login", 401, "code=code&state="+state, &http.Cookie{Name: "other", Value: "x"})
	state, cookie = begin("/")
	refused("a code of somebody else", 401, "code=stolen&state="+state, cookie)
	refused("the provider's refusal", 401, "error=access_denied&state="+state, cookie)
	is(map[string]any{"email": "alice@example.org", "groups": []string{"ops"}, "nonce": "another"})
	state, cookie = begin("/")
	refused("a token of another login", 401, "code=code&state="+state, cookie)
	is(map[string]any{"email": "mallory@example.org"})
	state, cookie = begin("/")
	refused("somebody without a role", 403, "code=code&state="+state, cookie)
	is(alice)
	state, cookie = begin("https://evil.example/")
	if response, _ := end("code=code&state="+state, cookie); response.Header.Get("Location") != "/" {
		t.Errorf("%v", response.Header)
	}
}

// TestProviderIsAway has a provider that does not answer: keys are good all the same.
func TestProviderIsAway(t *testing.T) {
	t.Parallel()
	p := newProvider(t)
	w := p.world(t)
	p.Close()
	if response, body := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+p.token(nil)); response.StatusCode != 503 {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	if _, who := w.ask(t, once, "GET", "/who", nil, "Authorization", "Bearer "+w.key(t, "deploy", access.Read).Key); who != "key:deploy" {
		t.Errorf("%q", who)
	}
}

// TestProviderHangs has a provider that takes requests and answers none: it is asked once for all that wait, nobody is
// held up whose client has gone, and its failure is remembered for a second.
func TestProviderHangs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	answer := make(chan struct{})
	release := sync.OnceFunc(func() { close(answer) })
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		select {
		case <-answer:
		case <-r.Context().Done():
		}
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer provider.Close()
	defer release()
	guard := access.New(testenv.Database(t), access.Config{
		Ways: access.Ways{OIDC: true}, OIDC: access.OIDC{Issuer: provider.URL, ClientID: "tactus"},
	}, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	handler := guard.Middleware(http.NotFoundHandler())
	ask := func(ctx context.Context) int {
		r, answer := httptest.NewRequestWithContext(ctx, "GET", "/who", nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer x.y.z")
		handler.ServeHTTP(answer, r)
		return answer.Code
	}
	const many = 40
	ctx, leave := context.WithCancel(t.Context())
	var waiting atomic.Int64
	for range many {
		waiting.Add(1)
		go func() {
			defer waiting.Add(-1)
			ask(ctx)
		}()
	}
	testenv.Eventually(t, "the provider is asked", func() error {
		if asked.Load() == 0 {
			return errors.New("not yet")
		}
		return nil
	})
	if n := waiting.Load(); n != many {
		t.Errorf("%d wait, want %d", n, many)
	}
	leave()
	testenv.Eventually(t, "all have left", func() error {
		if n := waiting.Load(); n > 0 {
			return fmt.Errorf("%d wait", n)
		}
		return nil
	})
	if n := asked.Load(); n != 1 {
		t.Errorf("the provider was asked %d times for those that waited together", n)
	}
	release()
	began := time.Now()
	for range many {
		if code := ask(t.Context()); code != http.StatusServiceUnavailable {
			t.Errorf("%d", code)
		}
	}
	if n, most := asked.Load(), 3+int64(time.Since(began).Seconds()); n > most {
		t.Errorf("the provider was asked %d times in all, want at most %d", n, most)
	}
}
