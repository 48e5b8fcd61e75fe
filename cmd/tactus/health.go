package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"
)

// healthCmd is the health check for containers without curl. It needs no key: if it did, revoking the key would make
// every container restart.
type healthCmd struct {
	credentialFlags
	hereFlags
	URL secret `arg:"" optional:"" env:"TACTUS_URL" default:"http://127.0.0.1:8000" help:"URL of an api, a relay or a beat; TACTUS_URL unless given."`
}

const (
	healthTimeout = 5 * time.Second
	maxHealth     = 64 << 10
)

// Run succeeds if a process is ready, and otherwise fails with the reasons.
func (c healthCmd) Run(ctx context.Context, to console) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	if c.Here {
		response, err := c.hereFlags.ask(ctx)
		return told(response, err, to)
	}
	response, err := c.ask(ctx, c.Token.isSet())
	if err == nil && (response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusTooManyRequests) && c.Token.isSet() {
		_ = response.Body.Close() // whether a process is ready does not depend on the key
		response, err = c.ask(ctx, false)
	}
	return told(response, err, to)
}

// told prints that a process is ready, or returns an error with the reasons why it is not.
func told(response *http.Response, err error, to console) error {
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusOK {
		fmt.Fprintln(to.out, "ready")
		return nil
	}
	var body struct{ Failing map[string]string }
	if err := json.NewDecoder(io.LimitReader(response.Body, maxHealth)).Decode(&body); err != nil ||
		len(body.Failing) == 0 {
		return fmt.Errorf("not ready: %s", response.Status)
	}
	reasons := []error{}
	for _, name := range slices.Sorted(maps.Keys(body.Failing)) {
		reasons = append(reasons, fmt.Errorf("not ready: %s: %s", name, body.Failing[name]))
	}
	return errors.Join(reasons...)
}

// ask asks a process whether it is ready. With a key, the answer has the reasons why it is not.
func (c healthCmd) ask(ctx context.Context, withKey bool) (*http.Response, error) {
	who := c.credentialFlags
	if !withKey {
		who.Token = secret{}
	}
	return c.URL.ask(ctx, who, http.MethodGet, "/readyz")
}

// ask sends a request without a body to a process. The caller closes the body of the answer.
func (s secret) ask(ctx context.Context, who credentialFlags, method, path string) (*http.Response, error) {
	request, err := s.request(ctx, method, path, nil)
	if err != nil {
		return nil, usage("%v", err)
	}
	if who.Token.isSet() {
		request.Header.Set("Authorization", "Bearer "+who.Token.reveal())
	}
	client, err := who.client()
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, withoutURL(err))
	}
	return response, nil
}
