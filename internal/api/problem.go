package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/postgres"
)

// problem is the body of every error (RFC 9457).
type problem struct {
	Type   string  `json:"type"`
	Title  string  `json:"title"`
	Status int     `json:"status"`
	Code   string  `json:"code" doc:"The code of the first fault."`
	Detail string  `json:"detail"`
	Errors []fault `json:"errors" doc:"All faults of the request."`
}

type fault struct {
	Code     string `json:"code"`
	Location string `json:"location" doc:"JSON pointer into the body, or the name of a parameter."`
	Message  string `json:"message" doc:"The fault and the mend."`
}

func (p *problem) Error() string  { return p.Detail }
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *problem) ContentType(string) string { return "application/problem+json" }

// status is the one table from the kind of an error to its HTTP status.
var status = map[domain.Kind]int{
	domain.Invalid:  http.StatusUnprocessableEntity,
	domain.NotFound: http.StatusNotFound,
	domain.Conflict: http.StatusConflict,
	domain.Stale:    http.StatusPreconditionFailed,
	domain.TooLarge: http.StatusUnprocessableEntity,
	domain.Busy:     http.StatusServiceUnavailable,

	domain.Unauthenticated: http.StatusUnauthorized,
	domain.Forbidden:       http.StatusForbidden,
}

// answer converts an error to the answer for the client. An error that is not the client's fault is logged, and
// answered without its details.
func (s *server) answer(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, catalog.ErrCursor) {
		return newProblem(http.StatusGone, fault{"cursor_unknown", "after", "this cursor is malformed, or of another life of the log, which was restored or replaced since: read again without it, and drop what you have by id"})
	}
	if errors.Is(err, catalog.ErrBusy) {
		return huma.ErrorWithHeaders(newProblem(http.StatusServiceUnavailable, fault{Code: "answers_too_large", Message: "the answers that clients are still reading, or you are, are as large as they may be together: ask for less at once, or try again"}), http.Header{"Retry-After": {"5"}})
	}
	faults := domain.FaultsOf(err)
	if faults == nil {
		return s.outage(err)
	}
	return faulty(faults)
}

// faultsOf converts faults to the form of an answer.
func faultsOf(faults domain.Faults) []fault {
	all := make([]fault, len(faults))
	for i, f := range faults {
		all[i] = fault{f.Code, f.Field, f.Message}
	}
	return all
}

// faulty returns the answer to a request that has faults.
func faulty(faults domain.Faults) error {
	all := faultsOf(faults)
	code := status[faults[0].Kind]
	if faults[0].Code == "json_invalid" || faults[0].Code == "utf8_invalid" {
		code = http.StatusBadRequest
	}
	switch {
	case faults[0].Kind == domain.Busy, faults[0].Code == domain.ErrLocked.Code,
		faults[0].Code == domain.ErrRouteLocked.Code, faults[0].Code == domain.ErrCalendarLocked.Code:
		return huma.ErrorWithHeaders(newProblem(code, all...), http.Header{"Retry-After": {"1"}})
	}
	return newProblem(code, all...)
}

var notMigrated = fault{
	Code:    "unavailable",
	Message: "the database lacks what this program needs: has \"tactus migrate\" been run with its DATABASE_URL?",
}

// outages maps the SQLSTATEs of a database that accepts no change, or does not answer, to faults.
var outages = map[string]fault{
	"25006": {Code: "database_read_only", Message: "the database takes no changes just now: try again, and if it lasts, point DATABASE_URL at the primary, or look whether default_transaction_read_only is on"},
	"42P01": notMigrated,
	"42703": notMigrated,
	"3F000": notMigrated,
	"53100": {Code: "database_full", Message: "the database's disk is full: nothing was changed; free space there, then try again"},
	"55P03": {Code: "database_locked", Message: "somebody has locked a table that is read for the answer (VACUUM FULL, ALTER TABLE): try again, and if it lasts, look into pg_locks"},
	"53300": {Code: "database_busy", Message: "the database has no connection to spare: nothing was changed; try again"},
}

var canceled = fault{Code: "canceled", Message: "the request ended before it was answered: repeat it"}

// outage returns the answer to an error of the database.
func (s *server) outage(err error) error {
	if errors.Is(err, context.Canceled) {
		return newProblem(http.StatusServiceUnavailable, canceled)
	}
	s.log.Error("request failed", "err", err)
	f := fault{Code: "unavailable", Message: "the database did not answer as it should: nothing was changed by a request that did not commit; try again"}
	if errors.Is(err, postgres.ErrNoSchema) {
		f = notMigrated
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && outages[pgErr.Code].Code != "" {
		f = outages[pgErr.Code]
	}
	return huma.ErrorWithHeaders(newProblem(http.StatusServiceUnavailable, f), http.Header{"Retry-After": {"1"}})
}

func newProblem(status int, faults ...fault) *problem {
	p := &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Errors: faults}
	if len(faults) > 0 {
		p.Code, p.Detail = faults[0].Code, faults[0].Message
	}
	return p
}

// refusal converts what huma refuses before it calls an operation: parameters, sizes, slow bodies.
func refusal(status int, message string, errs ...error) huma.StatusError {
	var faults []fault
	for _, err := range errs[:min(len(errs), domain.MaxFaults)] {
		f := fault{Code: "parameter_invalid", Message: err.Error()}
		if d, ok := err.(huma.ErrorDetailer); ok {
			detail := d.ErrorDetail()
			_, name, _ := strings.Cut(detail.Location, ".")
			f = fault{"parameter_invalid", name, detail.Message}
		}
		faults = append(faults, f)
	}
	if len(faults) == 0 {
		faults = []fault{{Code: codes[status], Message: message}}
	}
	return newProblem(status, faults...)
}

// codes has the codes for statuses that come from the framework or from HTTP, without a domain error.
var codes = map[int]string{
	http.StatusBadRequest: "request_invalid", http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed",
	http.StatusTooManyRequests: "too_many_streams", http.StatusRequestEntityTooLarge: "payload_too_large", http.StatusRequestTimeout: "body_too_slow",
	http.StatusNotAcceptable: "not_acceptable", http.StatusUnsupportedMediaType: "media_type_unsupported",
	http.StatusInternalServerError: "unavailable", http.StatusUnprocessableEntity: "request_invalid",
}

var advice = map[int]string{
	http.StatusBadRequest:            "the body ends before its end: send as many bytes as Content-Length says",
	http.StatusRequestTimeout:        fmt.Sprintf("the body did not come within %s: send it faster, or less of it", bodyTimeout),
	http.StatusRequestEntityTooLarge: fmt.Sprintf("the body has more than %d bytes: store the data elsewhere and pass a reference", maxBody),
	http.StatusNotFound:              "there is nothing at this address: see /docs, or /openapi.json",
	http.StatusTooManyRequests:       "this client, or all together, have as many streams of events open as may be (TACTUS_STREAMS_PER_CLIENT, TACTUS_STREAMS): close one, or read /events as pages",
	http.StatusMethodNotAllowed:      "this address has other methods: see the Allow header",
}

func writeProblem(w http.ResponseWriter, status int) {
	problemTo(w, newProblem(status, fault{Code: codes[status], Message: advice[status]}))
}

func problemTo(w http.ResponseWriter, p *problem) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	body, _ := json.Marshal(p) // strings always encode
	_, _ = w.Write(body)       // the client may be gone
}
