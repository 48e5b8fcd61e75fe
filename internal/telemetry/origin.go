package telemetry

import (
	"net/http"
	"net/url"
	"strings"
)

var crossOrigin = Refusal{
	Status: http.StatusForbidden, Code: "cross_origin", Location: "Origin",
	Message: "a browser sends this for a page of another origin: open that page under the " +
		"address of this server, or have its server ask",
}

// sameOrigin refuses requests that a browser sends for a page of another origin, reading as well as writing. Such a
// page cannot see the answer, but each stream of events that it opens takes one away from others, and each request for
// health or metrics queries the database. The same site is not enough: every name that ends in .localhost is of the
// same site, and any of them may serve somebody else's page. A link that is followed is no such request: the browser
// leaves the other page for ours, so that a link in a chat leads to what it names.
func sameOrigin(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fromElsewhere(r) && !follows(r) {
			crossOrigin.Answer(w)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// fromElsewhere judges by the headers that browsers send. Other clients do not send them.
func fromElsewhere(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none": // none: the user typed the address
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

// follows reports whether somebody follows a link, in a window of its own. The addresses of programs are none to link.
func follows(r *http.Request) bool {
	return r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" &&
		!strings.HasPrefix(r.URL.Path, "/api/") && r.URL.Path != "/metrics" && r.URL.Path != "/readyz"
}
