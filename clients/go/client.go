package tactus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Config says how a client calls. The zero value calls without a key.
type Config struct {
	Token string       // the API key
	HTTP  *http.Client // http.DefaultClient unless given
	Actor string       // who calls, where the API asks nobody to prove it

	Attempts int           // how often a request is sent at most; 4 unless given
	Timeout  time.Duration // how long one attempt may take; 30 s unless given
	MaxWait  time.Duration // the longest Retry-After that is waited for; 30 s unless given
}

// Client calls an API. It can be used by many goroutines at once.
type Client struct {
	base string
	cfg  Config
}

// New returns a client of the API at a URL, for example http://127.0.0.1:8000. The errors never quote the URL, which
// may hold a password.
func New(base string, cfg Config) (*Client, error) {
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" ||
		parsed.RawQuery != "" || parsed.Fragment != "" {
		return nil, errors.New("want http://host:port or https://host:port")
	}
	if cfg.HTTP == nil {
		cfg.HTTP = http.DefaultClient
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = 4
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.MaxWait == 0 {
		cfg.MaxWait = 30 * time.Second
	}
	if cfg.Attempts < 1 || cfg.Timeout < 0 || cfg.MaxWait < 0 {
		return nil, errors.New("want no negative Attempts, Timeout or MaxWait")
	}
	return &Client{base: strings.TrimRight(base, "/"), cfg: cfg}, nil
}

// Request is one call of an operation.
type Request struct {
	Method string // GET unless given
	Path   string // below /api/v1, escaped, for example /schedules; perhaps with a query
	Query  url.Values
	Header http.Header
	Body   any // sent as JSON; a json.RawMessage as it is
}

// Do calls an operation and decodes its answer into out, unless that is nil. A *json.RawMessage gets the answer as it
// is. Numbers in arguments are json.Number, because they may be larger than a float64 holds.
func (c *Client) Do(ctx context.Context, r Request, out any) error {
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = json.Marshal(r.Body); err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
	}
	header, err := c.header(ctx, r, method)
	if err != nil {
		return err
	}
	address := c.base + "/api/v1" + r.Path
	if len(r.Query) > 0 {
		address += "?" + r.Query.Encode()
	}
	answer, err := c.repeated(ctx, header.Get(keyHeader) != "" || unchanging(method, header), func() ([]byte, error) {
		return c.once(ctx, method, address, header, body)
	})
	if err != nil {
		return err
	}
	return decode(answer, out)
}

func (c *Client) header(ctx context.Context, r Request, method string) (http.Header, error) {
	header := r.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	set := func(name, value string) {
		if value != "" && header.Get(name) == "" {
			header.Set(name, value)
		}
	}
	set("Accept", "application/json, application/problem+json")
	if r.Body != nil {
		set("Content-Type", "application/json")
	}
	set("X-Tactus-Actor", c.cfg.Actor)
	reason, _ := ctx.Value(reasonKey{}).(string)
	set("X-Tactus-Reason", reason)
	if c.cfg.Token != "" {
		set("Authorization", "Bearer "+c.cfg.Token)
	}
	if TakesKey(method, r.Path) {
		set(keyHeader, newKey())
	}
	for name, values := range header {
		for _, value := range values {
			if strings.ContainsAny(value, "\r\n\x00") {
				return nil, fmt.Errorf("%s has a line break or U+0000, which no header may have: leave it out", name)
			}
		}
	}
	return header, nil
}

type reasonKey struct{}

// WithReason returns a context whose requests say why they change what they change.
func WithReason(ctx context.Context, reason string) context.Context {
	return context.WithValue(ctx, reasonKey{}, reason)
}

// once sends a request and returns the body of its answer.
func (c *Client) once(ctx context.Context, method, address string, header http.Header, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the path of the request is not a part of a URL: escape what is in it")
	}
	request.Header = header
	response, err := c.cfg.HTTP.Do(request)
	if err != nil {
		return nil, &lost{withoutURL(err)}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, &lost{fmt.Errorf("read the answer: %w", err)}
	}
	if response.StatusCode < 200 || response.StatusCode >= 300 {
		return nil, refused(response, answer)
	}
	return answer, nil
}

// withoutURL returns the reason of a failed request without the URL, which net/http quotes.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

func decode(answer []byte, out any) error {
	if raw, ok := out.(*json.RawMessage); ok {
		*raw = answer
		return nil
	}
	if out == nil || len(bytes.TrimSpace(answer)) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(out); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	return nil
}
