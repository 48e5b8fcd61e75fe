package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/revoke"
	"github.com/tactus-dev/tactus/internal/shadow"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// site is the pages over a database of the test's own.
type site struct {
	url   string
	pool  *pgxpool.Pool
	store *outbox.Store
}

func serve(t *testing.T) site {
	t.Helper()
	return serveOver(t, testenv.Database(t))
}

func serveOver(t *testing.T, pool *pgxpool.Pool) site {
	t.Helper()
	check := handover.Limits{}.Check
	store := outbox.NewStore(pool, "UTC", check)
	server := httptest.NewServer(pages.New(pages.Config{
		Store: store, Catalog: catalog.New(pool), Timezone: "UTC", Check: check, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Keys: access.NewKeys(pool), Rules: notify.NewStore(pool),
		Moved: func(ctx context.Context, pattern string, route *domain.Route) (importer.Moves, error) {
			return importer.Moved(ctx, pool, pattern, route, "celery")
		},
		Doctor: func(context.Context) []string {
			return []string{"  PostgreSQL answers", "! fsync is off <b>", "? keys expire", ""}
		},
		Cancel: func(ctx context.Context, o revoke.Order) ([]revoke.Cancelled, error) {
			return revoke.Cancel(ctx, pool, o)
		},
		Shadow: func(ctx context.Context, since time.Time) (shadow.Record, error) {
			return shadow.Read(ctx, pool, since)
		},
		Letters: &deadletter.Box{Pool: pool, Tasks: []string{"celery"}, Lease: time.Hour, Events: relay.Route{Name: "events"}},
	}))
	t.Cleanup(server.Close)
	return site{server.URL, pool, store}
}

// answer is the response to a request. Redirects are not followed.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s site) do(t *testing.T, method, address string, form url.Values, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
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

func (s site) get(t *testing.T, address string, headers ...string) answer {
	t.Helper()
	a := s.do(t, http.MethodGet, address, nil, headers...)
	if a.status != http.StatusOK {
		t.Fatalf("GET %s: %d %s", address, a.status, a.body)
	}
	return a
}

func (s site) post(t *testing.T, address string, form url.Values) answer {
	t.Helper()
	a := s.do(t, http.MethodPost, address, form)
	if a.status != http.StatusSeeOther {
		t.Fatalf("POST %s: %d %s", address, a.status, a.body)
	}
	return a
}

func (s site) create(t *testing.T, d domain.Definition) domain.Schedule {
	t.Helper()
	made, err := s.store.Create(t.Context(), d, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// hostile is a script, for every text that a user can write.
const hostile = `<script>alert(1)</script>"'><img src=x onerror=alert(2)>`

func unescape(text string) string { return html.UnescapeString(text) }

func hostileSchedule(t *testing.T, s site) domain.Schedule {
	t.Helper()
	text, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	made := s.create(t, domain.Definition{
		Name: hostile, Description: hostile, Category: hostile, Tags: []string{hostile}, TaskName: "app." + hostile,
		CronExpression: "* * * * *", Args: json.RawMessage(`[` + string(text) + `]`), Kwargs: json.RawMessage(`{` + string(text) + `:` + string(text) + `}`),
		Queue: "q<script>",
	})
	run, err := s.store.Trigger(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.pool.Exec(t.Context(), `update tactus.runs set status = 'failed', error = $2, traceback = $2, result = to_json($2::text), worker = $2, finished_at = now() where id = $1`, run, hostile)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// addresses returns the addresses of all pages, for a schedule and its newest run.
func (s site) addresses(t *testing.T, id domain.ID) []string {
	t.Helper()
	var run string
	if err := s.pool.QueryRow(t.Context(), `select id::text from tactus.runs where schedule_id = $1 order by due_at desc limit 1`, id).Scan(&run); err != nil {
		t.Fatal(err)
	}
	return []string{
		"/log", "/log?type=schedule.updated&schedule=" + id.String(), "/system", "/system/deadletters", "/sessions", "/system/routes", "/system/routes/edit", "/system/keys?ended=1", "/system/moving?report=week", "/system/deadletters?source=" + url.QueryEscape(hostile), "/runs", "/runs?state=wrong&span=day&error=alert&worker=" + url.QueryEscape(hostile), "/runs/" + run, "/runs?state=revoked",
		"/", "/schedules", "/schedules?q=a&state=active&order=name", "/schedules/" + id.String(), "/schedules/" + id.String() + "/delete",
		"/schedules/bulk?action=retag&which=ticked&id=" + id.String(), "/schedules?last=failed&queue=" + url.QueryEscape(hostile) + "&calendar=" + url.QueryEscape(hostile),
		"/schedules?did=bulk&action=disable&done=1&group=" + url.QueryEscape(hostile),
		"/calendar", "/calendar?span=day&tag=" + url.QueryEscape(hostile), "/calendar?span=month", "/calendars",
		"/schedules/new", "/schedules/" + id.String() + "/edit", "/schedules/new?like=" + id.String(),
		"/schedules?tag=" + url.QueryEscape(hostile) + "&task=" + url.QueryEscape(hostile) + "&category=" + url.QueryEscape(hostile),
	}
}

// inline matches what the Content-Security-Policy of the pages forbids.
var inline = regexp.MustCompile(`(?i)<script(?: type="[a-z/+]+")?>|<style|\sstyle=|\son[a-z]+=|javascript:|https?://`)

// TestPagesHoldNoScriptOfAUser requests each page about a schedule whose texts are all scripts.
func TestPagesHoldNoScriptOfAUser(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := hostileSchedule(t, s)
	for _, language := range []string{"en", "ja"} {
		for _, address := range s.addresses(t, made.ID) {
			page := s.get(t, address, "Accept-Language", language)
			if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img src=x") {
				t.Errorf("%s: a script of a user is in it:\n%s", address, page.body)
			}
			if !strings.Contains(page.body, `<html lang="`+language+`"`) {
				t.Errorf("%s: not in %s", address, language)
			}
			own := strings.ReplaceAll(page.body, html.EscapeString(hostile), "")
			own = regexp.MustCompile(`(?s)<pre.*?</pre>|<textarea.*?</textarea>`).ReplaceAllString(own, "")
			if found := inline.FindString(own); found != "" && !strings.Contains(html.UnescapeString(found), "onerror") {
				t.Errorf("%s: it has %q, which its policy does not allow", address, found)
			}
			if policy := page.header.Get("Content-Security-Policy"); strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self'") {
				t.Errorf("%s: %q", address, policy)
			}
		}
	}
}

// TestFormsWithoutScript posts the forms of a schedule's buttons.
func TestFormsWithoutScript(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	self := "/schedules/" + made.ID.String()
	enabled := func() bool {
		now, err := s.store.Get(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		return now.IsEnabled()
	}
	back := s.post(t, self+"/disable", nil).header.Get("Location")
	if enabled() {
		t.Error("it is still enabled")
	}
	if page := s.get(t, back); !strings.Contains(page.body, "Enable it again") {
		t.Errorf("no way back on %s: %s", back, page.body)
	}
	if s.post(t, self+"/enable", url.Values{"undo": {"1"}}); !enabled() {
		t.Error("it is not enabled again")
	}
	s.post(t, self+"/run", url.Values{"args": {`[1]`}, "kwargs": {`{"a": 2}`}})
	var runs int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.runs where kind = 'manual' and schedule_id = $1 and task::text like '%"args":[1]%'`, made.ID).Scan(&runs); err != nil || runs != 1 {
		t.Errorf("%d runs with other arguments: %v", runs, err)
	}
	if a := s.do(t, http.MethodPost, self+"/run", url.Values{"kwargs": {`{"a": `}}); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="err-run-kwargs">✕`) || !strings.Contains(a.body, `{&#34;a&#34;: `) {
		t.Errorf("arguments that are no JSON: %d %s", a.status, a.body)
	}
	asked := s.get(t, self+"/delete")
	if !strings.Contains(asked.body, `name="version" value="3"`) {
		t.Errorf("the question is not about the version that was read: %s", asked.body)
	}
	if a := s.do(t, http.MethodPost, self+"/delete", url.Values{"version": {"2"}}); a.status != http.StatusPreconditionFailed {
		t.Errorf("a schedule that has changed since was deleted: %d", a.status)
	}
	s.post(t, self+"/delete", url.Values{"version": {"3"}})
	if a := s.do(t, http.MethodGet, self, nil); a.status != http.StatusNotFound {
		t.Errorf("it is still there: %d", a.status)
	}
}

// TestFirstVisit counts the requests and bytes of the first page. Both are few, even without compression.
func TestFirstVisit(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for i := range 60 {
		s.create(t, domain.Definition{Name: fmt.Sprintf("schedule-%02d", i), TaskName: "app.t", Tags: []string{"one", "two"}, CronExpression: "* * * * *"})
	}
	for _, address := range []string{"/", "/schedules"} {
		page := s.get(t, address)
		loaded := regexp.MustCompile(`(?:src|href)="(/assets/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
		requests, bytes := 2, len(page.body) // the page and /live
		for _, match := range loaded {
			file := s.get(t, match[1])
			requests, bytes = requests+1, bytes+len(file.body)
			if !strings.Contains(file.header.Get("Cache-Control"), "immutable") {
				t.Errorf("%s is loaded again at each visit", match[1])
			}
		}
		if requests > 6 || bytes > 150<<10 || len(loaded) < 3 {
			t.Errorf("%s: %d requests, %d bytes", address, requests, bytes)
		}
	}
}

// TestAddressHoldsTheFilter finds schedules by the address of the list, which leaves out what was not chosen.
func TestAddressHoldsTheFilter(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.create(t, domain.Definition{Name: "later", TaskName: "app.t", Tags: []string{"x"}, RunAt: time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)})
	s.create(t, domain.Definition{Name: "sooner", TaskName: "app.t", Tags: []string{"x", "y"}, RunAt: time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)})
	off := false
	s.create(t, domain.Definition{Name: "off", TaskName: "app.t", CronExpression: "* * * * *", Enabled: &off})
	if _, _, err := s.store.PutCalendar(t.Context(), domain.Calendar{Name: "holidays", Days: []calendar.Item{}}, 0); err != nil {
		t.Fatal(err)
	}
	queued := s.create(t, domain.Definition{Name: "queued", TaskName: "app.t", Queue: "q1", Tags: []string{"z"}, CronExpression: "* * * * *", ExcludeCalendars: []string{"holidays"}, Enabled: &off})
	if _, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at) values (gen_random_uuid(), $1, now(), 'scheduled', 'failed', 1, now())`, queued.ID); err != nil {
		t.Fatal(err)
	}
	order := func(address string) (names []string) {
		for _, match := range regexp.MustCompile(`<a href="/schedules/[0-9a-f-]{36}">([a-z]+)</a>`).FindAllStringSubmatch(s.get(t, address).body, -1) {
			names = append(names, match[1])
		}
		return names
	}
	for address, want := range map[string]string{
		"/schedules": "sooner later off queued", "/schedules?order=name": "later off queued sooner", "/schedules?order=newest": "queued off sooner later",
		"/schedules?queue=q1": "queued", "/schedules?queue=q2": "", "/schedules?last=failed": "queued", "/schedules?last=succeeded": "", "/schedules?calendar=holidays&order=name": "queued", "/schedules?calendar=holiday": "",
		"/schedules?last=failed&q=off": "",
		"/schedules?tag=x":             "sooner later", "/schedules?tag=x&tag=y": "sooner", "/schedules?state=paused": "off queued", "/schedules?q=LAT": "later",
		"/schedules?state=invalid": "",
	} {
		if got := strings.Join(order(address), " "); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
	if got := s.get(t, "/schedules?q=&state=&order=next&tag=x").header.Get("HX-Replace-Url"); got != "/schedules?tag=x" {
		t.Error(got)
	}
}

// TestProgramsAreAnsweredAsBefore checks that addresses without a page are left to the API unless a browser asks.
func TestProgramsAreAnsweredAsBefore(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	check := handover.Limits{}.Check
	handler := pages.New(pages.Config{
		Store: outbox.NewStore(pool, "UTC", check), Catalog: catalog.New(pool), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Elsewhere: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }),
	})
	for accept, want := range map[string]int{"*/*": http.StatusTeapot, "text/html,*/*": http.StatusNotFound} {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/nothing", nil)
		request.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, request); w.Code != want {
			t.Errorf("%s: %d, want %d", accept, w.Code, want)
		}
	}
}

// TestMarksOfTheClocks shows a schedule at the hour that Berlin skips in spring and repeats in autumn.
func TestMarksOfTheClocks(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for gap, want := range map[string]string{"skip": "⊘", "run_after": "↷"} {
		made := s.create(t, domain.Definition{
			Name: gap, TaskName: "app.t", Timezone: "Europe/Berlin", DSTGap: gap, DSTOverlap: "both",
			CronExpression: "30 2 25-31 3,10 0", CronDialect: "celery",
		})
		page := s.get(t, "/schedules/"+made.ID.String())
		for _, mark := range []string{want, "②", "the clocks show this time twice"} {
			if !strings.Contains(page.body, mark) {
				t.Errorf("%s: no %s", gap, mark)
			}
		}
	}
}

// TestRunThatEndedBeforeItBegan draws a run whose worker's clock was set back between its events.
func TestRunThatEndedBeforeItBegan(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "* * * * *"})
	_, err := s.pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, started_at, finished_at)
		select gen_random_uuid(), $1, now() - n * interval '1 minute', 'scheduled', 'succeeded', 1, now(), now(), now() + (n - 2) * interval '1 second' from generate_series(1, 3) n`, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range []string{"/schedules", "/schedules/" + made.ID.String()} {
		if bars := regexp.MustCompile(`class="bars" d="([^"]+)"`).FindStringSubmatch(s.get(t, address).body); bars == nil || strings.Contains(bars[1], "--") {
			t.Errorf("%s: %q", address, bars)
		}
	}
}
