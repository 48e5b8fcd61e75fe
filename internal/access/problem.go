package access

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/telemetry"
)

// tooManyError is the answer to what has to wait.
type tooManyError struct {
	code, message string
	wait          time.Duration
}

func (e *tooManyError) Error() string { return e.message }

func tooMany(code, message string, wait time.Duration) error {
	return &tooManyError{code, message, wait}
}

func isTooMany(err error) bool {
	_, ok := errors.AsType[*tooManyError](err)
	return ok
}

// statuses are the HTTP statuses of this package's faults.
var statuses = map[domain.Kind]int{
	domain.Unauthenticated: http.StatusUnauthorized, domain.Forbidden: http.StatusForbidden,
	domain.Conflict: http.StatusConflict, domain.NotFound: http.StatusNotFound,
	domain.TooLarge: http.StatusRequestEntityTooLarge,
}

// Answer answers a request that may not be served, by a problem document.
func Answer(w http.ResponseWriter, err error) {
	if e, ok := errors.AsType[*tooManyError](err); ok {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(max(e.wait.Seconds(), 1)))))
		telemetry.Refusal{Status: http.StatusTooManyRequests, Code: e.code, Message: e.message}.Answer(w)
		return
	}
	faults := domain.FaultsOf(err)
	if faults == nil {
		w.Header().Set("Retry-After", "1")
		telemetry.Refusal{
			Status: http.StatusServiceUnavailable, Code: "unavailable",
			Message: "the database, or the issuer of tokens, did not answer who sends this: try again",
		}.Answer(w)
		return
	}
	f := faults[0]
	if f.Kind == domain.Unauthenticated {
		w.Header().Set("WWW-Authenticate", `Bearer realm="tactus"`)
	}
	status := statuses[f.Kind]
	if bodies.Passes(f) {
		status = http.StatusServiceUnavailable
	} else if status == 0 {
		status = http.StatusUnprocessableEntity
	}
	refusal := telemetry.Refusal{Status: status, Code: f.Code, Location: f.Field, Message: f.Message}
	for _, f := range faults[1:] {
		refusal.Also = append(refusal.Also, telemetry.Refusal{Code: f.Code, Location: f.Field, Message: f.Message})
	}
	refusal.Answer(w)
}
