package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const module = "github.com/tactus-dev/tactus"

// rule limits what the packages under room may import, their tests left aside.
type rule struct {
	room    string
	allowed []string // import path prefixes, the room itself and std aside
	reason  string
}

var rules = []rule{
	{"domain", nil, "the language of schedules has no I/O and can be imported alone: std only"},
	{"outbox", []string{module + "/domain", module + "/internal/postgres", module + "/internal/sqlexpr", module + "/internal/claims", module + "/internal/detached", module + "/internal/room", module + "/internal/traceparent", "github.com/jackc/pgx/v5", "github.com/google/uuid"}, "the write path is used inside other services' transactions: pgx and what is pure only; the log knows nothing of who reads it"},
	{"internal/claims", []string{module + "/domain", module + "/internal/postgres", module + "/internal/sqlexpr", module + "/internal/tablelocks", "github.com/jackc/pgx/v5"}, "the log claims names, and the relay: what both stand on knows neither"},
	{"relay/ledger", []string{module + "/outbox", module + "/domain", module + "/internal/postgres", module + "/internal/sqlexpr", "github.com/jackc/pgx/v5"}, "the ledger reads the log and keeps the relay's books: it neither publishes nor knows who does"},
	{"internal/traceparent", nil, "what services import with the log knows no library of traces: std only"},
	{"clients/go", nil, "a client speaks HTTP, and brings nothing into the services that import it: std only"},
	{"relay", coreImports, "the relay knows neither the beat nor a transport: cmd chooses it"},
	{"beat", coreImports, "the beat knows neither the relay nor a transport: cmd chooses it"},
	{"beat/memory", []string{module + "/domain"}, "a beat's memory is pure: neither PostgreSQL nor a feed, only schedules and instants"},
	{"internal/pages", []string{module + "/domain", module + "/outbox", module + "/internal/access", module + "/internal/bodies", module + "/internal/bulk", module + "/internal/catalog", module + "/internal/deadletter", module + "/internal/importer", module + "/internal/notify", module + "/internal/revoke", module + "/internal/shadow", module + "/internal/telemetry"}, "the pages speak to the use cases of the API and of the commands: no SQL and no server of their own"},
	{"internal/redis", []string{module + "/domain", module + "/outbox", module + "/relay", module + "/internal", "github.com/redis/go-redis", "github.com/ThreeDotsLabs/watermill", "github.com/google/uuid", "golang.org/x"}, "the transport serves the relay and must not know Postgres or the beat"},
}

var coreImports = []string{
	module + "/outbox", module + "/domain", module + "/internal/postgres", module + "/internal/sqlexpr", module + "/internal/slowclock",
	module + "/internal/tablelocks",
	"github.com/jackc/pgx/v5",
	"github.com/ThreeDotsLabs/watermill/message", "golang.org/x/sync", "golang.org/x/time",
}

// notPure are the packages of std that make a result depend on more than its arguments.
var notPure = map[string]string{
	"context": "no I/O to cancel", "net": "no I/O", "net/http": "no I/O", "database/sql": "no I/O", "os": "no I/O", "os/exec": "no I/O", "log": "no I/O", "log/slog": "no I/O",
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, reason := range broken(p.ImportPath, imported) {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, reason)
			}
		}
	}
}

// TestRulesBite shows that each rule refuses what it is there for.
func TestRulesBite(t *testing.T) {
	for _, c := range []struct {
		from, imported string
		want           bool
	}{
		{"domain", "time", false},
		{"domain/cron", module + "/domain/zone", false},
		{"domain", "github.com/google/uuid", true},
		{"domain", "context", true},
		{"outbox", "github.com/jackc/pgx/v5/pgtype", false},
		{"outbox", module + "/relay", true},
		{"outbox", module + "/domain/handover", false},
		{"outbox", module + "/internal/celery", true},
		{"outbox", module + "/relay/ledger", true},
		{"outbox", module + "/internal/claims", false},
		{"internal/claims", module + "/outbox", true},
		{"clients/go", "net/http", false},
		{"clients/go", module + "/domain", true},
		{"relay", module + "/relay/ledger", false},
		{"relay/ledger", module + "/outbox", false},
		{"relay/ledger", module + "/relay", true},
		{"relay/ledger", "github.com/ThreeDotsLabs/watermill/message", true},
		{"relay", module + "/beat", true},
		{"beat", module + "/relay", true},
		{"beat", "github.com/redis/go-redis/v9", true},
		{"beat/memory", module + "/domain", false},
		{"beat/memory", module + "/outbox", true},
		{"beat/memory", "github.com/jackc/pgx/v5", true},
		{"beat/memory", "context", true},
		{"relay", module + "/outboxes", true},
		{"internal/redis", module + "/beat", true},
		{"internal/pages", module + "/internal/catalog", false},
		{"internal/pages", "github.com/jackc/pgx/v5", true},
		{"internal/pages", module + "/internal/api", true},
		{"internal/api", module + "/cmd/tactus", true},
		{"internal/api", "github.com/danielgtaylor/huma/v2", false},
		{"outbox", module + "/internal/traceparent", false},
		{"outbox", module + "/internal/tracing", true},
		{"relay", "go.opentelemetry.io/otel/trace", true},
		{"internal/results", "go.opentelemetry.io/otel/trace", true},
		{"internal/tracing", "go.opentelemetry.io/otel/trace", false},
		{"internal/traceparent", "context", false},
		{"internal/traceparent", "go.opentelemetry.io/otel", true},
	} {
		if got := len(broken(module+"/"+c.from, c.imported)) > 0; got != c.want {
			t.Errorf("%s imports %s: broken = %v, want %v", c.from, c.imported, got, c.want)
		}
	}
}

func broken(from, imported string) (reasons []string) {
	if under(imported, module+"/cmd") {
		reasons = append(reasons, "nobody imports cmd: it ties together, it is not used")
	}
	if under(imported, "go.opentelemetry.io") && !under(from, module+"/internal/tracing") {
		reasons = append(reasons, "the libraries of traces are known to internal/tracing alone: others have interfaces of their own")
	}
	for _, room := range []string{"domain", "beat/memory"} {
		if why, ok := notPure[imported]; ok && under(from, module+"/"+room) {
			reasons = append(reasons, room+" is pure: "+why)
		}
	}
	for _, r := range rules {
		if room := module + "/" + r.room; under(from, room) && !r.allows(room, imported) {
			reasons = append(reasons, r.reason)
		}
	}
	return reasons
}

func (r rule) allows(room, imported string) bool {
	if std(imported) || under(imported, room) {
		return true
	}
	for _, prefix := range r.allowed {
		if under(imported, prefix) {
			return true
		}
	}
	return false
}

func std(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

func under(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func packages(t *testing.T) (all []listed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("read what go list says: %v", err)
		}
		all = append(all, p)
	}
}
