package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	tactusapi "github.com/tactus-dev/tactus/clients/go"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// clientFlags say which API to call, and how to print its answers.
type clientFlags struct {
	URL secret `name:"url" env:"TACTUS_URL" default:"http://127.0.0.1:8000" help:"URL of the API; or TACTUS_URL_FILE, a file with it."`
	credentialFlags

	Context string `env:"TACTUS_CONTEXT" placeholder:"NAME" help:"Server of ~/.config/tactus/contexts.yaml."`

	Output string `short:"o" enum:"table,wide,json,yaml,name" default:"table" help:"table, wide (with more columns), json, yaml or name (one a line)."`
}

// credentialFlags say who calls, and whom to trust.
type credentialFlags struct {
	Token secret `env:"TACTUS_TOKEN" placeholder:"KEY" help:"API key; or TACTUS_TOKEN_FILE, a file with it."`

	Cert     string `name:"client-cert" env:"TACTUS_CLIENT_CERT" placeholder:"FILE" help:"Client certificate (PEM), for an API that asks for one."`
	CertKey  string `name:"client-key" env:"TACTUS_CLIENT_KEY" placeholder:"FILE" help:"Private key (PEM) of the client certificate."`
	ServerCA string `name:"server-ca" env:"TACTUS_SERVER_CA" placeholder:"FILE" help:"Certificates (PEM) of whoever issued the API's; the system's unless given."`
}

const clientTimeout = 30 * time.Second

// call sends a request and returns the answer's body. If the API refuses the request, the error lists every fault.
func (c clientFlags) call(ctx context.Context, method, path string, body any) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	actor, reason := outbox.ActorOf(ctx)
	client, err := c.api(actor)
	if err != nil {
		return nil, err
	}
	var answer json.RawMessage
	request := tactusapi.Request{Method: method, Path: path, Body: body}
	err = client.Do(tactusapi.WithReason(ctx, reason), request, &answer)
	if refused, ok := errors.AsType[*tactusapi.Error](err); ok {
		return nil, refusedBy(refused)
	}
	if tactusapi.Unanswered(err) {
		return nil, fmt.Errorf("%w (is the API at TACTUS_URL %s running?)", err, c.URL)
	}
	return answer, err
}

// api returns a client of the API. The server only uses the actor if it demands no authentication.
func (c clientFlags) api(actor string) (*tactusapi.Client, error) {
	http, err := c.client()
	if err != nil {
		return nil, err
	}
	client, err := tactusapi.New(c.URL.reveal(), tactusapi.Config{Token: c.Token.reveal(), HTTP: http, Actor: actor})
	if err != nil {
		return nil, usage("TACTUS_URL: %v", err)
	}
	return client, nil
}

// client returns a client with the certificates that the flags name.
func (c credentialFlags) client() (*http.Client, error) {
	if c.Cert == "" && c.CertKey == "" && c.ServerCA == "" {
		return http.DefaultClient, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.Cert != "" || c.CertKey != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.CertKey)
		if err != nil {
			return nil, usage("TACTUS_CLIENT_CERT, TACTUS_CLIENT_KEY: %v", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	if c.ServerCA != "" {
		text, err := os.ReadFile(c.ServerCA)
		if err != nil {
			return nil, usage("TACTUS_SERVER_CA: %v", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, usage("TACTUS_SERVER_CA: %s has no certificate (PEM) in it", c.ServerCA)
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &http.Client{Transport: transport}, nil
}

// request makes a request to a server whose URL may contain a password.
func (s secret) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	base, err := url.Parse(s.reveal())
	switch {
	case err != nil:
		return nil, s.fault(err)
	case base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return nil, errors.New("want http://host:port or https://host:port")
	}
	return http.NewRequestWithContext(ctx, method, strings.TrimRight(s.reveal(), "/")+path, body)
}

// withoutURL returns the reason of a failed request without the URL. net/http quotes the whole URL, and hides only the
// password of its user.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// refusal is a request that the API refused, with every fault.
type refusal struct {
	status int    // 0 if this program has refused the request
	said   string // the status in words
	faults []*domain.Error
}

func (r *refusal) Error() string {
	if len(r.faults) == 0 {
		return "the API answered " + r.said
	}
	lines := make([]string, len(r.faults))
	for i, f := range r.faults {
		lines[i] = f.Error()
	}
	if r.status == 0 {
		return strings.Join(lines, "\n  and ")
	}
	return fmt.Sprintf("refused (%s): %s", r.said, strings.Join(lines, "\n  and "))
}

func (r *refusal) exitCode() int {
	switch r.status {
	case 0:
		return exitUsage
	case http.StatusNotFound:
		return exitNotFound
	case http.StatusConflict, http.StatusPreconditionFailed:
		return exitConflict
	}
	return exitFailure
}

// refusedBy converts an error of the API to a refusal, whose faults can be translated to the words of the command.
func refusedBy(by *tactusapi.Error) *refusal {
	r := &refusal{status: int(by.Status), said: by.Said()}
	for _, f := range by.Errors {
		r.faults = append(r.faults, &domain.Error{Code: f.Code, Field: f.Location, Message: f.Message})
	}
	return r
}

// named adds the name of an object to an error that says that it does not exist.
func named(err error, what, name string) error {
	if refused, ok := errors.AsType[*refusal](err); ok && len(refused.faults) == 1 && refused.faults[0].Code == domain.ErrNotFound.Code {
		return missing(fmt.Sprintf("there is no %s %q", what, name))
	}
	return err
}

// path returns the path of a schedule, given its id or its name.
func (c clientFlags) path(ctx context.Context, schedule string) (string, error) {
	if _, err := domain.ParseID(schedule); err == nil {
		return "/schedules/" + schedule, nil
	}
	answer, err := c.call(ctx, http.MethodGet, "/schedules?"+url.Values{"name": {schedule}}.Encode(), nil)
	if err != nil {
		return "", err
	}
	var found struct{ Schedules []struct{ ID domain.ID } }
	if err := json.Unmarshal(answer, &found); err != nil {
		return "", fmt.Errorf("read the answer: %w", err)
	}
	if len(found.Schedules) == 0 {
		return "", missing(fmt.Sprintf("there is no schedule named %q", schedule))
	}
	return "/schedules/" + found.Schedules[0].ID.String(), nil
}
