package tactus

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"time"
)

const keyHeader = "Idempotency-Key"

// takesKey matches the addresses at which a POST with an Idempotency-Key can be repeated.
var takesKey = regexp.MustCompile(`^/(schedules|schedules/[^/]+/(trigger|backfill)|runs/[^/]+/rerun)$`)

// TakesKey reports whether an operation remembers an Idempotency-Key. A client gives each such request a key of its
// own, unless the request has one.
func TakesKey(method, path string) bool {
	return method == http.MethodPost && takesKey.MatchString(path)
}

func newKey() string { return rand.Text() }

// unchanging reports whether a request can be repeated because the second one changes nothing. A PUT that demands a
// version would be refused for its own first attempt.
func unchanging(method string, header http.Header) bool {
	return method == http.MethodGet || method == http.MethodPut && header.Get("If-Match") == ""
}

// lost is a request that was not answered. Whether it was carried out is not known.
type lost struct{ err error }

// Unanswered reports whether an error is that no answer came, so that it is not known whether the request was carried
// out.
func Unanswered(err error) bool {
	_, ok := errors.AsType[*lost](err)
	return ok
}

func (l *lost) Error() string { return l.err.Error() }
func (l *lost) Unwrap() error { return l.err }

// The waits between attempts that the API says nothing of: each is twice as long as the one before, less up to a half.
const firstWait = 200 * time.Millisecond

// repeated calls send until it succeeds, fails for good, or has been called as often as it may be.
func (c *Client) repeated(
	ctx context.Context, repeatable bool, send func() ([]byte, error),
) (answer []byte, err error) {
	wait := firstWait
	for attempt := 1; ; attempt++ {
		answer, err = send()
		if err == nil || attempt == c.cfg.Attempts || !again(err, repeatable) {
			return answer, err
		}
		pause := wait - mathrand.N(wait/2)
		wait *= 2
		if refusal, ok := errors.AsType[*Error](err); ok && refusal.RetryAfter > 0 {
			pause = refusal.RetryAfter
		}
		if until, ok := ctx.Deadline(); pause > c.cfg.MaxWait || ok && time.Until(until) < pause {
			return nil, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		case <-timer.C:
		}
	}
}

// again reports whether a request that failed is worth another attempt. What was refused with a Retry-After below 500
// has not been carried out. Of all else that is not known.
func again(err error, repeatable bool) bool {
	if refusal, ok := errors.AsType[*Error](err); ok {
		switch refusal.Status {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return repeatable
		}
		return refusal.Status < 500 && refusal.RetryAfter > 0
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return true // it was not sent
	}
	return Unanswered(err) && repeatable
}
