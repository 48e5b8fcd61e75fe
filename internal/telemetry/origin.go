package telemetry

import (
	"net/http"
	"net/url"
	"strings"
)

var crossOrigin = refusal{
	http.StatusForbidden, "cross_origin", "Origin",
	"a browser sends this for a page of another origin: open that page under the address of this server, or have its server ask",
}

// sameOrigin refuses what a browser sends for a page of another origin. Reading is refused as well as writing: such a page sees no
// answer, but each stream of events that it opens is one fewer for everybody else, and each look at health or metrics asks the
// database. A site is more than an origin: every name that ends in .localhost is of the same site, and any of them may serve
// somebody else's page.
func sameOrigin(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromElsewhere(r) {
			crossOrigin.answer(w)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// fromElsewhere goes by what browsers say of a request. Other clients say nothing of the kind.
func fromElsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none": // none: a person typed the address
		return false
	case "":
	default:
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		return false
	}
	at, err := url.Parse(origin)
	return err != nil || !strings.EqualFold(at.Host, r.Host)
}
