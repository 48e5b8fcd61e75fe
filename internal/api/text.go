package api

import (
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// headersRead lists the headers whose text is sent to the database.
var headersRead = []string{"Idempotency-Key", "If-Match", "Last-Event-ID"}

// unreadable returns why the address or a header of a request is not text that a database accepts: UTF-8 without
// U+0000. It also refuses a query that cannot be parsed, because the rest of it would ask for something else.
func unreadable(r *http.Request) *fault {
	if !isText(r.URL.Path) {
		return notText("", "the path")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return &fault{Code: "parameter_invalid", Message: "the query is malformed: escape %, & and ; in the values (%25, %26, %3B)"}
	}
	for name, values := range query {
		if !isText(name) {
			return notText("", "the name of a parameter")
		}
		for _, value := range values {
			if !isText(value) {
				return notText(name, "the parameter")
			}
		}
	}
	for _, name := range headersRead {
		if !isText(r.Header.Get(name)) {
			return notText(name, "the header")
		}
	}
	return nil
}

func notText(location, what string) *fault {
	return &fault{Code: "utf8_invalid", Location: location, Message: what + " is not UTF-8, or holds the character U+0000: encode it as UTF-8, and leave that character out"}
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }
