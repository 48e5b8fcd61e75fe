package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// service is the API over a database of the test's own.
type service struct {
	url  string
	pool *pgxpool.Pool
}

func serve(t *testing.T) service {
	t.Helper()
	pool := testenv.Database(t)
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil))))
	t.Cleanup(server.Close)
	return service{server.URL + "/api/v1", pool}
}

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// member digs a value out of the JSON body: "errors.0.code".
func (a answer) member(t *testing.T, path string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		t.Fatalf("%v in %s", err, a.body)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(v) {
				return ""
			}
			value = v[i]
		default:
			return ""
		}
	}
	return fmt.Sprint(value)
}

func (s service) do(t *testing.T, method, path, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{response.StatusCode, response.Header, string(text)}
}

// want fails when the status is another.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

const minutely = `{"name":"n","cron_expression":"* * * * *","task_name":"app.t"}`

func TestLifeOfASchedule(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.do(t, "POST", "/schedules", minutely).want(t, 201)
	at := strings.TrimPrefix(made.header.Get("Location"), "/api/v1")
	if at != "/schedules/"+made.member(t, "id") || made.header.Get("ETag") != `"1"` {
		t.Errorf("headers: %v", made.header)
	}
	got := s.do(t, "GET", at+"/", "").want(t, 200)
	for path, want := range map[string]string{"name": "n", "version": "1", "enabled": "true", "timezone": "UTC", "last_run_at": "<nil>", "misfire_policy": "latest"} {
		if v := got.member(t, path); v != want {
			t.Errorf("%s is %s, want %s", path, v, want)
		}
	}
	if due, err := time.Parse(time.RFC3339, got.member(t, "next_run_at")); err != nil || due.Second() != 0 || time.Until(due) > time.Minute {
		t.Errorf("next_run_at %v, %v", due, err)
	}
	if v := s.do(t, "PATCH", at, `{"interval_seconds":60}`, "If-Match", `"1"`).want(t, 200); v.member(t, "version") != "2" || v.member(t, "cron_expression") != "<nil>" {
		t.Errorf("after PATCH: %s", v.body)
	}
	s.do(t, "PATCH", at, `{"description":"late"}`, "If-Match", `"1"`).want(t, 412)
	if v := s.do(t, "PUT", at, `{"description":"merged"}`).want(t, 200); v.member(t, "interval_seconds") != "60" || v.header.Get("ETag") != `"3"` {
		t.Errorf("after PUT: %s", v.body)
	}
	if v := s.do(t, "POST", at+"/disable", "").want(t, 200); v.member(t, "enabled") != "false" || v.member(t, "next_run_at") != "<nil>" {
		t.Errorf("after disable: %s", v.body)
	}
	s.do(t, "POST", at+"/toggle", "").want(t, 200)
	run := s.do(t, "POST", at+"/trigger", "").want(t, 202).member(t, "run_id")
	if v := s.do(t, "GET", at+"/history", "").want(t, 200); v.member(t, "total") != "1" || v.member(t, "history.0.task_id") != run || v.member(t, "history.0.kind") != "manual" {
		t.Errorf("history: %s", v.body)
	}
	if v := s.do(t, "GET", "/tasks/"+run+"/status", "").want(t, 200).member(t, "status"); v != "due" {
		t.Errorf("status of the run: %s", v)
	}
	if v := s.do(t, "GET", "/schedules?name=n&enabled=true", "").want(t, 200); v.member(t, "total") != "1" || v.member(t, "schedules.0.version") != "5" {
		t.Errorf("list: %s", v.body)
	}
	s.do(t, "DELETE", at, "").want(t, 204)
	s.do(t, "GET", at, "").want(t, 404)
	s.do(t, "GET", at+"/history", "").want(t, 200)
}

func TestPutByName(t *testing.T) {
	t.Parallel()
	s := serve(t)
	body := `{"cron_expression":"0 9 * * *","task_name":"app.t","description":"once"}`
	first := s.do(t, "PUT", "/schedules/by-name/daily", body).want(t, 201)
	again := s.do(t, "PUT", "/schedules/by-name/daily", body).want(t, 200)
	if first.member(t, "id") != again.member(t, "id") || again.member(t, "version") != "1" {
		t.Errorf("the same definition made a version: %s", again.body)
	}
	other := s.do(t, "PUT", "/schedules/by-name/daily", `{"cron_expression":"0 9 * * *","task_name":"app.t"}`).want(t, 200)
	if other.member(t, "version") != "2" || other.member(t, "description") != "<nil>" {
		t.Errorf("what was left out stayed: %s", other.body)
	}
}

func TestIdempotencyKeyAnswersTheFirst(t *testing.T) {
	t.Parallel()
	s := serve(t)
	first := s.do(t, "POST", "/schedules", minutely, "Idempotency-Key", "k").want(t, 201)
	again := s.do(t, "POST", "/schedules", minutely, "Idempotency-Key", "k").want(t, 201)
	if first.member(t, "id") != again.member(t, "id") {
		t.Error("another schedule")
	}
	s.do(t, "POST", "/schedules", strings.Replace(minutely, `"n"`, `"m"`, 1), "Idempotency-Key", "k").want(t, 422)
}

func TestPreviewPresetsAndNext(t *testing.T) {
	t.Parallel()
	s := serve(t)
	v := s.do(t, "POST", "/schedules/preview", `{"cron_expression":"30 2 * * *","timezone":"America/New_York","after":"2026-03-07T12:00:00Z","n":2}`).want(t, 200)
	if v.member(t, "due_times.0") != "2026-03-08T03:00:00-04:00" || v.member(t, "due_times.1") != "2026-03-09T02:30:00-04:00" {
		t.Errorf("preview: %s", v.body)
	}
	if v.member(t, "marks.0.mark") != "moved" || v.member(t, "description") != "At 02:30, every day, America/New_York" {
		t.Errorf("preview: %s", v.body)
	}
	v = s.do(t, "POST", "/schedules/preview", `{"cron_expression":"0 0 13 * 5","language":"ja"}`).want(t, 200)
	if v.member(t, "description") != "毎月13日(金曜日にも当たる場合のみ)、00:00、UTC" || v.member(t, "warnings.0.code") != "day_fields_and" || v.member(t, "due_times.9") == "" {
		t.Errorf("preview: %s", v.body)
	}
	s.do(t, "POST", "/schedules/preview", `{"cron_expression":"30 2 * * *","n":1001}`).want(t, 422)
	v = s.do(t, "POST", "/schedules/preview", `{"cron_expression":"30 2 * * *","n":"ten","after":"soon","language":7}`).want(t, 422)
	if v.member(t, "errors.0.location") != "/after" || v.member(t, "errors.2.location") != "/language" {
		t.Errorf("preview: %s", v.body)
	}
	if v := s.do(t, "GET", "/schedules/presets", "").want(t, 200); v.member(t, "presets.17.name") != "every_15_minutes" {
		t.Errorf("presets: %s", v.body)
	}
	id := s.do(t, "POST", "/schedules", `{"preset_name":"every_hour","task_name":"t"}`).want(t, 201).member(t, "id")
	if v := s.do(t, "GET", "/schedules/"+id+"/next?n=3", "").want(t, 200); v.member(t, "due_times.2") == "" || v.member(t, "due_times.3") != "" {
		t.Errorf("next: %s", v.body)
	}
	v = s.do(t, "GET", "/schedules/"+id+"/next?n=1&after=2050-01-01T00:00:00Z&language=ja", "").want(t, 200)
	if v.member(t, "due_times.0") != "2050-01-01T01:00:00Z" || v.member(t, "description") != "毎時、UTC" {
		t.Errorf("next: %s", v.body)
	}
	s.do(t, "GET", "/schedules/"+id+"/next?language=tlh", "").want(t, 422)
	s.do(t, "POST", "/schedules/"+id+"/disable", "").want(t, 200)
	if v := s.do(t, "GET", "/schedules/"+id+"/next", "").want(t, 200); v.member(t, "due_times") != "[]" || v.member(t, "description") == "" {
		t.Errorf("next of a disabled one: %s", v.body)
	}
}

// TestBadInput sends every fault that the API can tell apart, and checks that none left anything.
func TestBadInput(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	schedule := func(members string) string {
		return `{"cron_expression":"* * * * *","task_name":"t",` + members + `}`
	}
	trigger := func(members string) string { return `{"task_name":"t",` + members + `}` }
	for _, c := range []struct {
		name, body, code, location string
		status                     int
	}{
		{"no trigger", `{"task_name":"t"}`, "trigger_missing", "", 422},
		{"two triggers", schedule(`"interval_seconds":5`), "trigger_ambiguous", "/interval_seconds", 422},
		{"cron syntax", trigger(`"cron_expression":"61 * * * *"`), "cron_syntax", "/cron_expression", 422},
		{"never", trigger(`"cron_expression":"0 0 31 2 *"`), "cron_never_fires", "/cron_expression", 422},
		{"zone", schedule(`"timezone":"Mars/Base"`), "timezone_unknown", "/timezone", 422},
		{"abbreviation", schedule(`"timezone":"EST"`), "timezone_abbreviation", "/timezone", 422},
		{"interval", trigger(`"interval_seconds":0.5`), "interval_too_small", "/interval_seconds", 422},
		{"sub-second", trigger(`"interval_seconds":1.5`), "trigger_unsupported", "/interval_seconds", 422},
		{"past", trigger(`"run_at":"2020-01-01T00:00:00Z"`), "at_in_past", "/run_at", 422},
		{"no time", trigger(`"run_at":"tomorrow"`), "time_invalid", "/run_at", 422},
		{"end before start", schedule(`"starts_at":"2030-01-02T00:00:00Z","ends_at":"2030-01-01T00:00:00Z"`), "end_before_start", "/ends_at", 422},
		{"empty window", trigger(`"cron_expression":"0 0 1 1 *","starts_at":"2030-02-01T00:00:00Z","ends_at":"2030-03-01T00:00:00Z"`), "no_fire_in_window", "/ends_at", 422},
		{"jitter", schedule(`"jitter_seconds":60`), "jitter_too_large", "/jitter_seconds", 422},
		{"taken", minutely, "name_taken", "/name", 409},
		{"long name", schedule(`"name":"` + strings.Repeat("ü", 201) + `"`), "name_invalid", "/name", 422},
		{"uuid name", schedule(`"name":"0192f0c1-2345-7abc-8def-0123456789ab"`), "name_invalid", "/name", 422},
		{"nul", schedule(`"name":"a\u0000b"`), "name_invalid", "/name", 422},
		{"nul in kwargs", schedule(`"kwargs":{"a":"\u0000"}`), "", "", 201},
		{"no task", `{"cron_expression":"* * * * *"}`, "task_missing", "/task_name", 422},
		{"args", schedule(`"args":{"a":1}`), "args_not_list", "/args", 422},
		{"kwargs", schedule(`"kwargs":[1]`), "kwargs_not_object", "/kwargs", 422},
		{"priority", schedule(`"priority":256`), "priority_range", "/priority", 422},
		{"two targets", schedule(`"queue":"q","stream":"s"`), "target_ambiguous", "/queue", 422},
		{"own keys", schedule(`"stream":"tactus:events"`), "target_ambiguous", "/stream", 422},
		{"tracking", schedule(`"stream":"s","execution_policy":"queue"`), "overlap_requires_tracking", "/execution_policy", 422},
		{"preset", trigger(`"preset_name":"sometimes"`), "preset_unknown", "/preset_name", 422},
		{"choice", schedule(`"misfire_policy":"maybe"`), "choice_invalid", "/misfire_policy", 422},
		{"unknown", schedule(`"cronexpression":"x"`), "unknown_field", "/cronexpression", 422},
		{"type", schedule(`"max_runs":"many"`), "type_invalid", "/max_runs", 422},
		{"malformed", `{"name":`, "json_invalid", "", 400},
		{"not an object", `[1]`, "json_invalid", "", 400},
		{"empty", ``, "request_invalid", "", 400},
		{"not UTF-8", "{\"name\":\"\xff\"}", "utf8_invalid", "", 400},
		{"large", schedule(`"kwargs":{"a":"` + strings.Repeat("x", 300<<10) + `"}`), "payload_too_large", "", 422},
		{"10 MB", schedule(`"kwargs":{"a":"` + strings.Repeat("x", 10<<20) + `"}`), "payload_too_large", "", 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := s.do(t, "POST", "/schedules", c.body).want(t, c.status)
			if c.status == 201 {
				return
			}
			if code, at := a.member(t, "errors.0.code"), a.member(t, "errors.0.location"); code != c.code || at != c.location {
				t.Errorf("%s at %q, want %s at %q: %s", code, at, c.code, c.location, a.body)
			}
			if a.member(t, "errors.0.message") == "" || a.header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v %s", a.header, a.body)
			}
		})
	}
	all := s.do(t, "POST", "/schedules", `{"cron_expression":"* * *","timezone":"EST","args":1,"nonsense":2,"priority":-1}`).want(t, 422)
	for i, code := range []string{"unknown_field", "cron_syntax", "timezone_abbreviation", "task_missing", "args_not_list", "priority_range"} {
		if got := all.member(t, fmt.Sprintf("errors.%d.code", i)); got != code {
			t.Errorf("fault %d is %s, want %s: %s", i, got, code, all.body)
		}
	}
	for _, c := range [][2]string{{"GET", "/schedules/none"}, {"DELETE", "/schedules/0192f0c1-2345-7abc-8def-0123456789ab"}, {"GET", "/tasks/x/status"}, {"GET", "/nowhere"}} {
		s.do(t, c[0], c[1], "").want(t, 404)
	}
	s.do(t, "GET", "/schedules?per_page=1001", "").want(t, 422)
	s.do(t, "GET", "/schedules?name='%3Bdrop%20table%20tactus.schedules--", "").want(t, 200)
	if total := s.do(t, "GET", "/schedules", "").want(t, 200).member(t, "total"); total != "2" {
		t.Errorf("%s schedules are there, want the two that were right", total)
	}
	var events int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.outbox`).Scan(&events); err != nil || events != 2 {
		t.Errorf("%d events, %v", events, err)
	}
}

// TestOneNameOftenAtOnce has 10,000 requests create the same name: one succeeds, the others are told.
func TestOneNameOftenAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	const requests, clients = 10_000, 64
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	var counts [600]atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for range requests / clients {
				response, err := client.Post(s.url+"/schedules", "application/json", bytes.NewReader([]byte(minutely)))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
				counts[response.StatusCode].Add(1)
			}
		})
	}
	wg.Wait()
	if made, taken := counts[201].Load(), counts[409].Load(); made != 1 || taken != requests/clients*clients-1 {
		t.Errorf("%d made, %d taken", made, taken)
	}
}

// TestSlowClient begins a body and never ends it: it is told so, and nothing waits for it.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	s := serve(t)
	host := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/api/v1")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/schedules HTTP/1.1\r\nHost: %s\r\nContent-Length: 100\r\n\r\n{\"name\":", host)
	if err := conn.SetReadDeadline(time.Now().Add(testenv.Patience)); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 12)
	if _, err := io.ReadFull(conn, head); err != nil || string(head) != "HTTP/1.1 408" {
		t.Errorf("answered %q, %v", head, err)
	}
	s.do(t, "GET", "/schedules", "").want(t, 200)
}

func TestOpenAPIDescribesTheBodies(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.url = strings.TrimSuffix(s.url, "/api/v1")
	description := s.do(t, "GET", "/openapi.json", "").want(t, 200)
	if v := description.member(t, "openapi"); v != "3.1.0" {
		t.Errorf("version %s", v)
	}
	if v := description.member(t, "paths./api/v1/schedules.post.requestBody.content.application/json.schema.$ref"); !strings.HasSuffix(v, "/Definition") {
		t.Errorf("the body of POST is %s", v)
	}
}
