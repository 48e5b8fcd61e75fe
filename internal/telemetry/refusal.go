package telemetry

import (
	"encoding/json"
	"net/http"
)

// Refusal answers a request that reaches no handler, by a problem document (RFC 9457) like those of the API.
type Refusal struct {
	Status                  int
	Code, Location, Message string
}

// Answer writes the document.
func (r Refusal) Answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.Status)
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails only when the client is gone
		"type": "about:blank", "title": http.StatusText(r.Status), "status": r.Status, "code": r.Code, "detail": r.Message,
		"errors": []map[string]string{{"code": r.Code, "location": r.Location, "message": r.Message}},
	})
}
