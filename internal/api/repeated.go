package api

import (
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// refuseRepeated refuses a query parameter that is given more than once and is not a list. Otherwise all its values but
// the first would be ignored, and the answer would look as if all of them had been applied.
func refuseRepeated(c huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(c)
	given := r.URL.Query()
	var faults []fault
	for _, p := range c.Operation().Parameters {
		if p.In == "query" && len(given[p.Name]) > 1 && (p.Explode == nil || !*p.Explode) {
			faults = append(faults, fault{
				"parameter_invalid", p.Name, "it is given more than once, and takes one value: give it once",
			})
		}
	}
	if len(faults) > 0 {
		problemTo(w, newProblem(http.StatusUnprocessableEntity, faults...))
		return
	}
	next(c)
}
