package api_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// withoutLine are the operations without a line. What they read and write does not grow with what is stored, or is
// bounded by what is sent, and other tests bound that.
var withoutLine = map[string]string{
	"GET /events/stream":                     "does not end: TestStreamsAreLimited",
	"POST /backfills/{id}/cancel":            "one row",
	"PUT /calendars/{name}":                  "TestBodiesCostLittle, and the bounds of all calendars together",
	"DELETE /calendars/{name}":               "one row",
	"POST /keys":                             "one row",
	"DELETE /keys/{id}":                      "the keys that one has replaced",
	"POST /keys/{id}/rotate":                 "one row",
	"PUT /notification-rules/{name}":         "the rules, which are bounded together",
	"DELETE /notification-rules/{name}":      "one row",
	"POST /notification-rules/{name}/rotate": "one row",
	"POST /notification-rules/{name}/test":   "one row",
	"DELETE /schedules/{id}":                 "one schedule",
	"POST /schedules/{id}/revert":            "one schedule, and an event",
}

// unasked returns the operations of the API, and the parameters of those that read, that no line requests.
func unasked(t *testing.T, s service, asked map[string][]string) (missing []string) {
	t.Helper()
	var described struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	root := service{strings.TrimSuffix(s.url, "/api/v1"), s.pool}
	if err := json.Unmarshal([]byte(root.do(t, "GET", "/openapi.json", "").want(t, 200).body), &described); err != nil {
		t.Fatal(err)
	}
	known := 0
	for path, operations := range described.Paths {
		path, of := strings.CutPrefix(path, "/api/v1")
		if !of {
			continue
		}
		fits := regexp.MustCompile("^" + regexp.MustCompile(`[{][^}]*[}]`).ReplaceAllString(path, "[^/]+") + "$")
		for method, operation := range operations {
			known++
			name, found, given := strings.ToUpper(method)+" "+path, false, url.Values{}
			for line, queries := range asked {
				if at, of := strings.CutPrefix(line, strings.ToUpper(method)+" "); of && fits.MatchString(at) {
					found = true
					for _, query := range queries {
						values, err := url.ParseQuery(query)
						if err != nil {
							t.Fatal(err)
						}
						maps.Copy(given, values)
					}
				}
			}
			if _, exempt := withoutLine[name]; exempt == found {
				missing = append(missing, name)
			}
			for _, p := range operation.Parameters {
				if found && p.In == "query" && !given.Has(p.Name) {
					missing = append(missing, name+"?"+p.Name)
				}
			}
		}
	}
	if known < 50 {
		t.Fatalf("the description has %d operations", known)
	}
	return missing
}
