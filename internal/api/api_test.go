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
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/celery"
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
	return serveOver(t, testenv.Database(t))
}

func serveOver(t *testing.T, pool *pgxpool.Pool) service {
	t.Helper()
	server := httptest.NewServer(api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}))
	t.Cleanup(server.Close)
	return service{server.URL + "/api/v1", pool}
}

// answer is the response to a request.
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
	s.do(t, "POST", at+"/trigger", `{"arguments":[1]}`).want(t, 422)
	s.do(t, "POST", at+"/trigger", `[`).want(t, 400)
	if v := s.do(t, "GET", at+"/history", "").want(t, 200); v.member(t, "total") != "1" || v.member(t, "history.0.task_id") != run || v.member(t, "history.0.kind") != "manual" {
		t.Errorf("history: %s", v.body)
	}
	if v := s.do(t, "GET", "/tasks/"+run+"/status", "").want(t, 200).member(t, "status"); v != "due" {
		t.Errorf("status of the run: %s", v)
	}
	own := s.do(t, "POST", at+"/trigger", `{"args":[1]}`, "Idempotency-Key", "k").want(t, 202).member(t, "run_id")
	if v := s.do(t, "POST", at+"/trigger", `{"args":[1]}`, "Idempotency-Key", "k").want(t, 202).member(t, "run_id"); v != own {
		t.Errorf("the same request again made %s after %s", v, own)
	}
	s.do(t, "POST", at+"/trigger", `{"args":[2]}`, "Idempotency-Key", "k").want(t, 422)
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

// TestOneNameOftenAtOnce has 10,000 requests create the same name at once: one succeeds, and the others are answered
// that the name is taken.
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

// TestSlowClient begins a body and never ends it: the request times out with an answer, and nothing waits for it.
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
	if v := description.member(t, "paths./api/v1/schedules.post.requestBody.content.application/json.schema.$ref"); !strings.HasSuffix(v, "/ScheduleDefinition") {
		t.Errorf("the body of POST is %s", v)
	}
}

// TestDescriptionsAreReadAtOnce has many ask for the description at the same time, as the first to ask for it.
func TestDescriptionsAreReadAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.url = strings.TrimSuffix(s.url, "/api/v1")
	var all sync.WaitGroup
	for _, path := range []string{"/openapi.json", "/openapi.yaml", "/openapi-3.0.json", "/openapi-3.0.yaml"} {
		for range 3 {
			all.Go(func() {
				if a := s.do(t, "GET", path, ""); a.status != 200 || !strings.Contains(a.body, "trigger-schedule") {
					t.Errorf("%s: %d, %.200s", path, a.status, a.body)
				}
			})
		}
	}
	all.Wait()
}

// TestListInvalid lists the invalid schedules, and the others.
func TestListInvalid(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	s.do(t, "POST", "/schedules", strings.Replace(minutely, `"n"`, `"bad"`, 1)).want(t, 201)
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set invalid_reason = 'no such zone' where name = 'bad'`); err != nil {
		t.Fatal(err)
	}
	for query, name := range map[string]string{"invalid=true": "bad", "invalid=false": "n"} {
		if v := s.do(t, "GET", "/schedules?"+query, "").want(t, 200); v.member(t, "total") != "1" || v.member(t, "schedules.0.name") != name {
			t.Errorf("%s: %s", query, v.body)
		}
	}
	bad := s.do(t, "GET", "/schedules?invalid=true", "").member(t, "schedules.0.id")
	if a := s.do(t, "POST", "/schedules/"+bad+"/trigger", "").want(t, 409); a.member(t, "code") != "schedule_invalid" ||
		!strings.Contains(a.body, "no such zone") {
		t.Errorf("run now: %s", a.body)
	}
	if n, err := catalog.New(s.pool).Invalid(t.Context()); err != nil || n != 1 {
		t.Errorf("%d are invalid, %v", n, err)
	}
	s.do(t, "GET", "/schedules?invalid=maybe", "").want(t, 422)
}
