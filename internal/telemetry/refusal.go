package telemetry

import (
	"encoding/json"
	"net/http"
)

// refusal answers a request that reaches no handler, by a problem document (RFC 9457) like those of the API.
type refusal struct {
	status                  int
	code, location, message string
}

func (r refusal) answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails only when the client is gone
		"type": "about:blank", "title": http.StatusText(r.status), "status": r.status, "code": r.code, "detail": r.message,
		"errors": []map[string]string{{"code": r.code, "location": r.location, "message": r.message}},
	})
}
