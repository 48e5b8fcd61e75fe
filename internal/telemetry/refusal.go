package telemetry

import (
	"encoding/json"
	"net/http"
)

// Refusal answers a request that reaches no handler, by a problem document (RFC 9457) like those of the API.
type Refusal struct {
	Status                  int
	Code, Location, Message string
	Also                    []Refusal // other faults of the same request
}

// Answer writes the document.
func (r Refusal) Answer(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(r.Status)
	faults := []map[string]string{}
	for _, f := range append([]Refusal{r}, r.Also...) {
		faults = append(faults, map[string]string{"code": f.Code, "location": f.Location, "message": f.Message})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{ // fails only when the client is gone
		"type": "about:blank", "title": http.StatusText(r.Status), "status": r.Status, "code": r.Code, "detail": r.Message,
		"errors": faults,
	})
}
