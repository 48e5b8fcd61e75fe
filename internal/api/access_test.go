package api_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// guardedService is the API behind a guard that asks for keys.
type guardedService struct {
	service
	keys *access.Keys
}

func serveGuarded(t *testing.T) guardedService {
	t.Helper()
	pool := testenv.Database(t)
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	guard := access.New(pool, access.Config{Ways: access.Ways{Keys: true}}, log, prometheus.NewRegistry())
	server := httptest.NewServer(guard.Middleware(api.New(pool, "UTC", log, celery.Config{})))
	t.Cleanup(server.Close)
	return guardedService{service{server.URL + "/api/v1", pool}, access.NewKeys(pool)}
}

func (s guardedService) key(t *testing.T, name string, role access.Role, scope ...string) access.IssuedKey {
	t.Helper()
	made, err := s.keys.Create(t.Context(), access.NewKey{Name: name, Role: role, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func (s guardedService) as(t *testing.T, key, method, path, body string) answer {
	t.Helper()
	if key == "" {
		return s.do(t, method, path, body)
	}
	return s.do(t, method, path, body, "Authorization", "Bearer "+key)
}

// operation is an operation of the API's description.
type operation struct{ id, method, path string }

func (s service) operations(t *testing.T) (all []operation) {
	t.Helper()
	described := service{strings.TrimSuffix(s.url, "/api/v1"), s.pool}.do(t, "GET", "/openapi.json", "").want(t, 200)
	var document struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(described.body), &document); err != nil {
		t.Fatal(err)
	}
	for path, item := range document.Paths {
		for method, op := range item {
			all = append(all, operation{op.OperationID, strings.ToUpper(method), strings.TrimPrefix(path, "/api/v1")})
		}
	}
	slices.SortFunc(all, func(a, b operation) int { return strings.Compare(a.id, b.id) })
	return all
}

// TestEveryOperationDeclaresItsPermit checks that every operation has a line in permits.go.
func TestEveryOperationDeclaresItsPermit(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, op := range serve(t).operations(t) {
		known[op.id] = true
		if permit, ok := api.Permits[op.id]; !ok || permit.Role < access.Read || permit.Role > access.Admin {
			t.Errorf("%s %s (%s) declares no role: add it to permits.go", op.method, op.path, op.id)
		}
	}
	for id := range api.Permits {
		if !known[id] {
			t.Errorf("there is no operation %s", id)
		}
	}
}

// TestEveryRouteForEveryone requests every operation of the API as a caller of every kind.
func TestEveryRouteForEveryone(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin := s.key(t, "admin", access.Admin)
	foreign := s.as(t, admin.Key, "POST", "/schedules", `{"name":"foreign-secret","tags":["foreign"],"cron_expression":"* * * * *","task_name":"app.foreign"}`).want(t, 201).member(t, "id")
	run := s.as(t, admin.Key, "POST", "/schedules/"+foreign+"/trigger", "").want(t, 202).member(t, "run_id")

	backfill := s.as(t, admin.Key, "POST", "/schedules/"+foreign+"/backfill", fmt.Sprintf(`{"from":%q}`, time.Now().Add(-time.Hour).Format(time.RFC3339))).want(t, 202).member(t, "id")

	expired, revoked := s.key(t, "expired", access.Admin), s.key(t, "revoked", access.Admin)
	if _, err := s.pool.Exec(t.Context(), `update tactus.access_keys set expires_at = now() - interval '1 second' where id = $1`, expired.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.keys.Revoke(t.Context(), revoked.ID); err != nil {
		t.Fatal(err)
	}
	strangers := map[string]string{
		"": "credentials_missing", expired.Key: "credentials_expired", revoked.Key: "credentials_revoked",
	}
	roles := map[access.Role]access.IssuedKey{access.Read: s.key(t, "read", access.Read), access.Write: s.key(t, "write", access.Write)}
	scoped := s.key(t, "scoped", access.Admin, "tag:mine", "name:mine-")

	ids := map[string]string{"tasks": run, "runs": run, "schedules": foreign, "backfills": backfill}
	for _, op := range s.operations(t) {
		parts := strings.Split(op.path, "/")
		path := strings.NewReplacer("{id}", ids[parts[1]], "{name}", "foreign-secret", "{pattern}", "app.p").Replace(op.path)
		if ids[parts[1]] == "" {
			path = strings.ReplaceAll(path, "{id}", admin.ID.String()) // replaced below for keys, which admins may end
		}
		if parts[1] == "keys" {
			path = strings.ReplaceAll(op.path, "{id}", run)
		}
		about := path != op.path
		if op.id == "stream-events" {
			path += "?after=unknown" // otherwise the stream does not end
		}
		body := ""
		if op.method != "GET" && op.method != "DELETE" {
			body = `{"cron_expression":"* * * * *","task_name":"app.t"}`
		}
		if op.id == "revert-schedule" {
			body = `{"version":1}`
		}
		for key, code := range strangers {
			if a := s.as(t, key, op.method, path, body); a.status != 401 || a.member(t, "code") != code || a.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s for a stranger: %d %s, want 401 %s", op.id, a.status, a.body, code)
			}
		}
		permit := api.Permits[op.id]
		for role, key := range roles {
			a := s.as(t, key.Key, op.method, path, body)
			if refused := a.status == 403 && a.member(t, "code") == "role_forbidden"; refused != (role < permit.Role) || a.status == 401 {
				t.Errorf("%s for the role %s: %d %s", op.id, role, a.status, a.body)
			}
		}
		a := s.as(t, scoped.Key, op.method, path, body)
		if a.status == 422 { // the operation wants another body
			a = s.as(t, scoped.Key, op.method, path, "{}")
		}
		switch {
		case !permit.Scoped:
			if a.status != 403 || a.member(t, "code") != "scope_forbidden" {
				t.Errorf("%s for whoever is confined to a scope: %d %s", op.id, a.status, a.body)
			}
		case strings.Contains(a.body, "foreign-secret") && a.status < 300 || strings.Contains(a.body, foreign):
			t.Errorf("%s shows what is out of scope: %d %s", op.id, a.status, a.body)
		case about && a.status != 404 && a.status != 403:
			t.Errorf("%s of what is out of scope: %d %s", op.id, a.status, a.body)
		}
	}
	if a := s.as(t, admin.Key, "GET", "/no/such/address", "").want(t, 404); a.member(t, "code") != "not_found" {
		t.Errorf("%s", a.body)
	}
	s.do(t, "GET", "/no/such/address", "").want(t, 401)
}

// TestScopesSeeNoUseOfCalendars reads a calendar that a schedule outside of the scope uses.
func TestScopesSeeNoUseOfCalendars(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin, mine := s.key(t, "admin", access.Admin).Key, s.key(t, "mine", access.Read, "tag:mine").Key
	s.as(t, admin, "PUT", "/calendars/c", `{"days":["2127-01-01"]}`).want(t, 201)
	s.as(t, admin, "POST", "/schedules",
		`{"name":"n","cron_expression":"0 0 1 1 *","task_name":"t","exclude_calendars":["c"]}`).want(t, 201)
	if got := s.as(t, admin, "GET", "/calendars/c", "").want(t, 200); got.member(t, "used_by") != "1" {
		t.Errorf("%s", got.body)
	}
	if got := s.as(t, mine, "GET", "/calendars/c", "").want(t, 200); strings.Contains(got.body, "used_by") {
		t.Errorf("%s", got.body)
	}
}

// TestNothingAtAnAddress requests addresses that do not exist, with bodies and without: the answer is a problem that
// says where to look.
func TestNothingAtAnAddress(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	key := s.key(t, "admin", access.Admin).Key
	for _, c := range [][]string{{"GET", "/nothing", ""}, {"POST", "/nothing", `{"a":1}`}, {"PUT", "/schedules/x/nothing", "["}} {
		got := s.as(t, key, c[0], c[1], c[2]).want(t, 404)
		if got.member(t, "code") != "not_found" || got.member(t, "status") != "404" || !strings.Contains(got.body, "/openapi.json") {
			t.Errorf("%v: %s", c, got.body)
		}
	}
}

// TestScopeOfAKey writes and reads in and out of a scope.
func TestScopeOfAKey(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin, mine := s.key(t, "admin", access.Admin).Key, s.key(t, "mine", access.Write, "tag:mine", "name:mine-").Key
	definition := func(name string, tags ...string) string {
		text, _ := json.Marshal(map[string]any{"name": name, "tags": tags, "cron_expression": "0 0 1 1 *", "task_name": "app.t"})
		return string(text)
	}
	a := s.as(t, mine, "POST", "/schedules", definition("other")).want(t, 403)
	if a.member(t, "code") != "scope_forbidden" || !strings.Contains(a.body, "tag:mine") {
		t.Errorf("%s", a.body)
	}
	byName := s.as(t, mine, "POST", "/schedules", definition("mine-1")).want(t, 201).member(t, "id")
	byTag := s.as(t, mine, "POST", "/schedules", definition("other", "mine", "too")).want(t, 201).member(t, "id")
	foreign := s.as(t, admin, "POST", "/schedules", definition("foreign", "theirs")).want(t, 201).member(t, "id")

	if got := s.as(t, mine, "GET", "/schedules", "").want(t, 200); got.member(t, "total") != "2" || strings.Contains(got.body, "foreign") {
		t.Errorf("%s", got.body)
	}
	if got := s.as(t, mine, "GET", "/schedules?name=foreign", "").want(t, 200); got.member(t, "total") != "0" {
		t.Errorf("%s", got.body)
	}
	if got := s.as(t, mine, "GET", "/events", "").want(t, 200); strings.Contains(got.body, foreign) || !strings.Contains(got.body, byTag) || !strings.Contains(got.body, byName) {
		t.Errorf("%s", got.body)
	}
	s.as(t, mine, "GET", "/schedules/"+foreign, "").want(t, 404)
	s.as(t, mine, "PATCH", "/schedules/"+foreign, `{"tags":["mine"]}`).want(t, 404)
	s.as(t, mine, "DELETE", "/schedules/"+foreign, "").want(t, 404)
	s.as(t, mine, "POST", "/schedules/"+foreign+"/trigger", "").want(t, 404)
	s.as(t, mine, "PUT", "/schedules/by-name/foreign", definition("foreign", "mine")).want(t, 403)
	s.as(t, mine, "PATCH", "/schedules/"+byTag, `{"tags":["theirs"]}`).want(t, 403)
	s.as(t, mine, "PATCH", "/schedules/"+byName, `{"name":"theirs"}`).want(t, 403)
	s.as(t, mine, "PATCH", "/schedules/"+byTag, `{"description":"changed"}`).want(t, 200)
	off := s.as(t, admin, "POST", "/schedules", `{"name":"off","enabled":false,"cron_expression":"0 0 1 1 *","task_name":"app.t"}`).want(t, 201).member(t, "id")
	for _, action := range []string{`"enable"`, `"disable"`, `"delete"`, `"retag","add_tags":["mine"]`, `"set","set":{"enabled":false}`} {
		many := s.as(t, mine, "POST", "/schedules/bulk", fmt.Sprintf(`{"action":%s,"ids":[%q,%q]}`, action, off, foreign)).want(t, 200)
		for _, n := range []string{"0", "1"} {
			if got := many.member(t, "outcomes."+n+".code"); got != "not_found" {
				t.Errorf("%s of what is out of scope: %s", action, many.body)
			}
		}
	}
	run := s.as(t, mine, "POST", "/schedules/"+byTag+"/trigger", "").want(t, 202).member(t, "run_id")
	theirs := s.as(t, admin, "POST", "/schedules/"+foreign+"/trigger", "").want(t, 202).member(t, "run_id")
	for _, action := range []string{"cancel", "rerun"} {
		s.as(t, mine, "POST", "/runs/"+action, fmt.Sprintf(`{"ids":[%q,%q]}`, run, theirs)).want(t, 404)
		s.as(t, mine, "POST", "/runs/"+theirs+"/"+action, "").want(t, 404)
		s.as(t, mine, "POST", "/runs/"+action, fmt.Sprintf(`{"ids":[%q],"dry_run":true}`, run)).want(t, 200)
	}
	if a := s.as(t, admin, "GET", "/runs/"+theirs, "").want(t, 200); a.member(t, "status") != "due" {
		t.Errorf("%s", a.body)
	}
	s.as(t, admin, "PATCH", "/schedules/"+byTag, `{"tags":["theirs"]}`).want(t, 200)
	s.as(t, mine, "GET", "/schedules/"+byTag+"/history", "").want(t, 404)
	s.as(t, mine, "DELETE", "/schedules/"+byName, "").want(t, 204)
	if got := s.as(t, mine, "GET", "/events?schedule="+byName, "").want(t, 200); !strings.Contains(got.body, "schedule.deleted") {
		t.Errorf("the events of a deleted schedule: %s", got.body)
	}
}

// TestLifeOfAKey makes a key by the API, uses, rotates and revokes it.
func TestLifeOfAKey(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin := s.key(t, "admin", access.Admin).Key
	made := s.as(t, admin, "POST", "/keys", `{"name":"deploy","role":"write","scope":["tag:a"]}`).want(t, 201)
	key, id := made.member(t, "key"), made.member(t, "id")
	if made.member(t, "created_by") != "key:admin" || made.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v %s", made.header, made.body)
	}
	s.as(t, admin, "POST", "/keys", `{"name":"deploy","role":"read"}`).want(t, 409)
	for body, code := range map[string]string{
		`{"name":"x"}`: "role_invalid", `{"name":"","role":"read"}`: "name_invalid", `{"name":"x","role":"king"}`: "json_invalid",
		`{"name":"x","role":"read","scope":["all"]}`: "scope_invalid", `{"name":"x","role":"read","more":1}`: "json_invalid",
		`{"name":"x","role":"read","expires_at":"2001-01-01T00:00:00Z"}`: "expiry_in_past",
		`{"name":"x","role":"read","expires_at":"0001-01-01T00:00:00Z"}`: "expiry_in_past",
	} {
		if a := s.as(t, admin, "POST", "/keys", body); a.member(t, "code") != code || a.status/100 != 4 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if who := s.as(t, key, "GET", "/whoami", "").want(t, 200); who.member(t, "name") != "deploy" || who.member(t, "role") != "write" || who.member(t, "kind") != "key" {
		t.Errorf("%s", who.body)
	}
	if got := s.as(t, admin, "GET", "/keys/"+id, "").want(t, 200); got.member(t, "last_used_at") == "<nil>" || strings.Contains(got.body, key) {
		t.Errorf("%s", got.body)
	}

	for body, want := range map[string]string{
		`{"expires_at":"2020-01-01T00:00:00Z"}`: "expiry_in_past", `{"expires_at":"0001-01-01T00:00:00Z"}`: "expiry_in_past",
		`{"overlap_seconds":-1}`: "overlap_invalid", `{"overlap_seconds":7776001}`: "overlap_invalid", `{"overlap_seconds":1e300}`: "overlap_invalid",
		`{"overlap_seconds":-1,"expires_at":"2020-01-01T00:00:00Z"}`: "overlap_invalid expiry_in_past",
	} {
		a, codes := s.as(t, admin, "POST", "/keys/"+id+"/rotate", body), strings.Fields(want)
		for i, code := range codes {
			if a.status != 422 || a.member(t, fmt.Sprintf("errors.%d.code", i)) != code {
				t.Errorf("%s: %d %s", body, a.status, a.body)
			}
		}
	}
	if got := s.as(t, admin, "GET", "/keys/"+id, "").want(t, 200); got.member(t, "state") != "active" || got.member(t, "replaced_by") != "<nil>" || got.member(t, "expires_at") != "<nil>" {
		t.Errorf("a rotation that is refused: %s", got.body)
	}
	next := s.as(t, admin, "POST", "/keys/"+id+"/rotate", `{"overlap_seconds":3600}`).want(t, 201)
	s.as(t, key, "GET", "/schedules", "").want(t, 200)
	s.as(t, next.member(t, "key"), "GET", "/schedules", "").want(t, 200)
	if next.member(t, "name") != "deploy" || next.member(t, "scope.0") != "tag:a" {
		t.Errorf("%s", next.body)
	}
	s.as(t, admin, "POST", "/keys/"+id+"/rotate", "").want(t, 409)
	last := s.as(t, admin, "POST", "/keys/"+next.member(t, "id")+"/rotate", `{"overlap_seconds":0}`).want(t, 201)
	s.refusedSoon(t, next.member(t, "key"), "credentials_expired")

	s.as(t, admin, "DELETE", "/keys/"+last.member(t, "id"), "").want(t, 200)
	s.refusedSoon(t, last.member(t, "key"), "credentials_revoked")
	s.refusedSoon(t, key, "credentials_revoked") // it has been replaced, and would be valid for an hour
	s.as(t, admin, "POST", "/keys", `{"name":"deploy","role":"read"}`).want(t, 201)
	if got := s.as(t, admin, "GET", "/keys", "").want(t, 200); strings.Count(got.body, `"deploy"`) != 4 {
		t.Errorf("%s", got.body)
	}
}

// TestExpiredKeysLeaveTheirNames makes several keys at once with the name of a key that has expired. One of them gets
// the name; the expired key stays in the list and is refused.
func TestExpiredKeysLeaveTheirNames(t *testing.T) {
	t.Parallel()
	s := serveGuarded(t)
	admin, old := s.key(t, "admin", access.Admin).Key, s.key(t, "deploy", access.Admin)
	const again = `{"name":"deploy","role":"read"}`
	s.as(t, admin, "POST", "/keys", again).want(t, 409)
	if _, err := s.pool.Exec(t.Context(), `update tactus.access_keys set expires_at = now() where id = $1`, old.ID); err != nil {
		t.Fatal(err)
	}
	statuses := make([]int, 8)
	var all sync.WaitGroup
	for n := range statuses {
		all.Go(func() { statuses[n] = s.as(t, admin, "POST", "/keys", again).status })
	}
	all.Wait()
	slices.Sort(statuses)
	if want := []int{201, 409, 409, 409, 409, 409, 409, 409}; !slices.Equal(statuses, want) {
		t.Errorf("eight at once: %v, want %v", statuses, want)
	}
	if got := s.as(t, admin, "GET", "/keys", "").want(t, 200); strings.Count(got.body, `"deploy"`) != 2 {
		t.Errorf("%s", got.body)
	}
	kept := s.as(t, admin, "GET", "/keys/"+old.ID.String(), "").want(t, 200)
	if kept.member(t, "state") != "expired" || kept.member(t, "replaced_by") == "<nil>" {
		t.Errorf("the old one: %s", kept.body)
	}
	s.refusedSoon(t, old.Key, "credentials_expired")
}

// refusedSoon waits until a key is refused. It may still be accepted for a second.
func (s guardedService) refusedSoon(t *testing.T, key, code string) {
	t.Helper()
	testenv.Eventually(t, "the key is refused", func() error {
		a := s.as(t, key, "GET", "/schedules", "")
		if a.status != 401 || a.member(t, "code") != code {
			return fmt.Errorf("%d %s, want %s", a.status, a.body, code)
		}
		return nil
	})
}
