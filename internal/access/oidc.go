package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tactus-dev/tactus/domain"
)

// OIDC says who issues tokens (OpenID Connect), and how to read them.
type OIDC struct {
	Issuer       string // its URL
	ClientID     string
	ClientSecret string
	Audience     string   // of bearer tokens; the client's id unless given
	Redirect     string   // the URL of /oidc/callback as browsers reach it; without it nobody can log in by a browser
	Scopes       []string // beside openid
	UserClaim    string
	GroupsClaim  string
}

// issuer is an OpenID Connect provider. Its description is read when it is first needed, so that the provider may be
// away when a process starts.
type issuer struct {
	config OIDC

	mu      sync.Mutex
	reading *reading // the newest
}

// reading is one attempt to read the description, on behalf of all requests that wait for it.
type reading struct {
	done     chan struct{}
	provider *oidc.Provider
	err      error
	ended    time.Time
}

const (
	// discoveryTimeout is how long the issuer may take to answer.
	discoveryTimeout = 10 * time.Second
	// failureKept is how long an issuer is left alone after it has not answered.
	failureKept = time.Second
)

// discovered returns the provider. One request reads on behalf of all that need it, and each stops waiting when its
// client has gone.
func (i *issuer) discovered(ctx context.Context) (*oidc.Provider, error) {
	r := i.read(ctx)
	select {
	case <-r.done:
		return r.provider, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("ask the issuer of tokens: %w", ctx.Err())
	}
}

func (i *issuer) read(ctx context.Context) *reading {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.reading != nil && i.reading.counts() {
		return i.reading
	}
	r := &reading{done: make(chan struct{})}
	i.reading = r
	go func() {
		defer close(r.done)
		// the provider keeps its context, to read keys by: it must not end with this request
		client := &http.Client{Timeout: discoveryTimeout, Transport: &rareReader{kept: map[string]keptAnswer{}}}
		r.provider, r.err = oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), client), i.config.Issuer)
		if r.err != nil {
			r.provider, r.err = nil, fmt.Errorf("ask the issuer of tokens: %w", r.err)
		}
		r.ended = time.Now()
	}()
	return r
}

// counts reports whether the outcome of the reading is still to be used.
func (r *reading) counts() bool {
	select {
	case <-r.done:
		return r.err == nil || time.Since(r.ended) < failureKept
	default:
		return true
	}
}

// token returns the principal of a bearer token.
func (g *Guard) token(r *http.Request, text string) (Principal, error) {
	provider, err := g.issuer.discovered(r.Context())
	if err != nil {
		return Principal{}, err
	}
	audience := g.config.OIDC.Audience
	if audience == "" {
		audience = g.config.OIDC.ClientID
	}
	verified, err := provider.Verifier(&oidc.Config{ClientID: audience}).Verify(r.Context(), text)
	if err != nil {
		return Principal{}, g.badToken(r, err)
	}
	return g.subject(verified)
}

func (g *Guard) badToken(r *http.Request, err error) error {
	why, answer := "unknown", errToken
	if _, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		why, answer = string(Expired), errExpired
	} else if err := g.wrong(r); err != nil {
		return err
	}
	g.failed.WithLabelValues(why).Inc()
	g.log.Info("a credential was refused", "client", g.address(r), "reason", why, "err", err)
	return answer
}

var errToken = &domain.Error{Kind: domain.Unauthenticated, Code: "credentials_invalid", Field: "Authorization", Message: "this token is not good here: it must be a JWT of the issuer that the server trusts, for its audience"}

// subject returns the principal of a token: its name by a claim, its role by the groups.
func (g *Guard) subject(token *oidc.IDToken) (Principal, error) {
	var claims map[string]json.RawMessage
	if err := token.Claims(&claims); err != nil {
		return Principal{}, errToken
	}
	name := textClaim(claims[g.config.OIDC.UserClaim])
	if verified, said := claims["email_verified"]; said && g.config.OIDC.UserClaim == "email" && !isTrue(verified) {
		name = "" // anybody may say of themselves what address they have
	}
	if name == "" {
		name = token.Subject
	}
	return Principal{
		Kind: Subject, Name: name, Role: g.config.Groups.role(listClaim(claims[g.config.OIDC.GroupsClaim])),
	}, nil
}

// isTrue reports whether a claim is true. Some issuers send the value as a text.
func isTrue(raw json.RawMessage) bool { return string(raw) == "true" || string(raw) == `"true"` }

func textClaim(raw json.RawMessage) string {
	var text string
	_ = json.Unmarshal(raw, &text) // another type is no name
	return strings.TrimSpace(text)
}

// listClaim returns the texts of a claim. Some issuers send a single one without a list.
func listClaim(raw json.RawMessage) []string {
	var list []string
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	if one := textClaim(raw); one != "" {
		return []string{one}
	}
	return nil
}

// attempt is a login that waits for the issuer's answer. The browser keeps it in a cookie, so that the answer counts
// only in the browser that has asked.
type attempt struct{ State, Nonce, Verifier, Next string }

const (
	attemptCookie   = "tactus_login"
	attemptLifetime = 10 * time.Minute
)

// mountOIDC serves the login by the issuer: the authorization code flow, with PKCE.
func (g *Guard) mountOIDC(mux *http.ServeMux) {
	mux.HandleFunc("GET /oidc/login", g.beginLogin)
	mux.HandleFunc("GET /oidc/callback", func(w http.ResponseWriter, r *http.Request) {
		next, err := g.endLogin(w, r)
		if err != nil {
			g.answer(w, err)
			return
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	})
}

// LoginPath returns the path at which a browser logs in by the issuer, or an empty text without an issuer.
func (g *Guard) LoginPath() string {
	if !g.config.Ways.OIDC || g.config.OIDC.Redirect == "" {
		return ""
	}
	return "/oidc/login"
}

func (g *Guard) client(provider *oidc.Provider) *oauth2.Config {
	c := g.config.OIDC
	return &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: c.ClientSecret, RedirectURL: c.Redirect, Endpoint: provider.Endpoint(),
		Scopes: append([]string{oidc.ScopeOpenID}, c.Scopes...),
	}
}

func (g *Guard) beginLogin(w http.ResponseWriter, r *http.Request) {
	provider, err := g.issuer.discovered(r.Context())
	if err != nil {
		g.answer(w, err)
		return
	}
	a := attempt{rand.Text(), rand.Text(), oauth2.GenerateVerifier(), r.URL.Query().Get("next")}
	if !LocalPath(a.Next) {
		a.Next = "/"
	}
	g.setAttempt(w, r, a.encode(), attemptLifetime)
	http.Redirect(w, r, g.client(provider).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier)), http.StatusSeeOther)
}

func (g *Guard) setAttempt(w http.ResponseWriter, r *http.Request, value string, lifetime time.Duration) {
	c := g.cookie(r, value, lifetime)
	c.Name = strings.Replace(c.Name, plainCookie, attemptCookie, 1)
	http.SetCookie(w, c)
}

var errAttempt = &domain.Error{Kind: domain.Unauthenticated, Code: "login_failed", Message: "this answers no login that this browser has begun within ten minutes: begin again at /oidc/login"}

// endLogin opens a session for the subject that the issuer names, and returns where the browser goes on.
func (g *Guard) endLogin(w http.ResponseWriter, r *http.Request) (next string, err error) {
	a, err := g.attemptOf(r)
	if err != nil {
		return "", err
	}
	g.setAttempt(w, r, "", 0)
	query := r.URL.Query()
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(a.State)) != 1 {
		return "", errAttempt
	}
	if code := query.Get("error"); code != "" {
		return "", &domain.Error{Kind: domain.Unauthenticated, Code: "login_failed", Message: fmt.Sprintf("the issuer says %.100q: %.300q", code, query.Get("error_description"))}
	}
	provider, err := g.issuer.discovered(r.Context())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(r.Context(), discoveryTimeout)
	defer cancel()
	token, err := g.client(provider).Exchange(ctx, query.Get("code"), oauth2.VerifierOption(a.Verifier))
	if _, refused := errors.AsType[*oauth2.RetrieveError](err); refused {
		g.log.Info("the issuer refused a code", "err", err)
		return "", errAttempt
	}
	if err != nil {
		return "", fmt.Errorf("exchange a code for a token: %w", err)
	}
	raw, _ := token.Extra("id_token").(string)
	verified, err := provider.Verifier(&oidc.Config{ClientID: g.config.OIDC.ClientID}).Verify(r.Context(), raw)
	if err != nil {
		return "", g.badToken(r, err)
	}
	if subtle.ConstantTimeCompare([]byte(verified.Nonce), []byte(a.Nonce)) != 1 {
		return "", errAttempt
	}
	who, err := g.subject(verified)
	if err != nil {
		return "", err
	}
	if err := (Permit{Role: Read, Scoped: true}).Demand(With(r.Context(), who)); err != nil {
		return "", err
	}
	return a.Next, g.openSession(w, r, who)
}

func (a attempt) encode() string {
	return url.Values{"s": {a.State}, "n": {a.Nonce}, "v": {a.Verifier}, "to": {a.Next}}.Encode()
}

func (g *Guard) attemptOf(r *http.Request) (attempt, error) {
	values, err := url.ParseQuery(g.sent(r, attemptCookie))
	a := attempt{values.Get("s"), values.Get("n"), values.Get("v"), values.Get("to")}
	if err != nil || a.State == "" || a.Nonce == "" || a.Verifier == "" || !LocalPath(a.Next) {
		return attempt{}, errAttempt
	}
	return a, nil
}
