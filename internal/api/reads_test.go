package api_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestReadsChangeNothing sends every GET over connections that cannot write: a page of another origin can have a
// browser send one.
func TestReadsChangeNothing(t *testing.T) {
	t.Parallel()
	url := testenv.DatabaseURL(t)
	writes := serveOver(t, testenv.Connect(t, url))
	schedule := writes.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	run := writes.do(t, "POST", "/schedules/"+schedule+"/trigger", "").want(t, 202).member(t, "run_id")
	s := serveOver(t, testenv.Connect(t, url+"&default_transaction_read_only=on"))
	if a := s.do(t, "POST", "/schedules", minutely); a.status < 500 {
		t.Fatalf("the connections can write: %d %s", a.status, a.body)
	}
	asked := 0
	for _, op := range s.operations(t) {
		if op.method != http.MethodGet || op.id == "stream-events" || !strings.HasPrefix(op.path, "/") {
			continue
		}
		id := schedule
		if strings.Contains(op.path, "/runs/") || strings.Contains(op.path, "/tasks/") {
			id = run
		}
		path := regexp.MustCompile(`[{][^}]*[}]`).ReplaceAllString(op.path, id)
		if a := s.do(t, "GET", path, ""); a.status != 200 && a.status != 404 {
			t.Errorf("GET %s: %d %s", path, a.status, a.body)
		}
		asked++
	}
	if asked < 20 {
		t.Errorf("only %d addresses were read", asked)
	}
}
