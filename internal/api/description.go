package api

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// described serves what describes the API, in both versions of OpenAPI and both notations, each made once. The
// framework's own handlers make it without a lock, so that the first two requests for it would write the same memory.
func described(mux *http.ServeMux, api huma.API) {
	document := api.OpenAPI()
	for address, d := range map[string]struct {
		contentType string
		make        func() ([]byte, error)
	}{
		"/openapi.json":     {"application/openapi+json", func() ([]byte, error) { return json.Marshal(document) }},
		"/openapi.yaml":     {"application/openapi+yaml", document.YAML},
		"/openapi-3.0.json": {"application/openapi+json", document.Downgrade},
		"/openapi-3.0.yaml": {"application/openapi+yaml", document.DowngradeYAML},
	} {
		made := sync.OnceValues(d.make)
		mux.HandleFunc("GET "+address, func(w http.ResponseWriter, r *http.Request) {
			text, err := made()
			if err != nil {
				writeProblem(w, http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", d.contentType)
			_, _ = w.Write(text) // the client may be gone
		})
	}
}
