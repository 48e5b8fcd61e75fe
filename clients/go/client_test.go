package tactus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	tactus "github.com/tactus-dev/tactus/clients/go"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// serve returns the handler of an API with a database of the test's own.
func serve(t *testing.T) http.Handler {
	t.Helper()
	handler, _ := guarded(t, access.Config{})
	return handler
}

// guarded does the same behind a guard, and returns who issues its keys.
func guarded(t *testing.T, cfg access.Config) (http.Handler, *access.Keys) {
	t.Helper()
	pool, log := testenv.Database(t), slog.New(slog.NewTextHandler(t.Output(), nil))
	guard := access.New(pool, cfg, log, prometheus.NewRegistry())
	return guard.Middleware(api.New(pool, "UTC", log, celery.Config{})), access.NewKeys(pool)
}

func client(t *testing.T, handler http.Handler, cfg tactus.Config) *tactus.Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return clientOf(t, server.URL, cfg)
}

func clientOf(t *testing.T, url string, cfg tactus.Config) *tactus.Client {
	t.Helper()
	c, err := tactus.New(url, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var daily = tactus.ScheduleDefinition{CronExpression: new("30 9 * * mon-fri"), TaskName: "app.hello"}

// count returns how many schedules and runs there are.
func count(t *testing.T, c *tactus.Client) (schedules, runs int) {
	t.Helper()
	for _, err := range c.Schedules(t.Context(), tactus.ListSchedulesParams{}) {
		if schedules++; err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range c.Runs(t.Context(), tactus.ListRunsParams{}) {
		if runs++; err != nil {
			t.Fatal(err)
		}
	}
	return schedules, runs
}

// TestLostAnswersAreAskedForAgain loses the answer of each request once: what was carried out is not carried out twice,
// and the caller gets the answer.
func TestLostAnswersAreAskedForAgain(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(serve(t))
	t.Cleanup(server.Close)
	direct := clientOf(t, server.URL, tactus.Config{})
	proxy, url := testenv.Through(t, server.URL)
	c := clientOf(t, url, tactus.Config{Attempts: 50})
	losing := func(text string, do func()) {
		t.Helper()
		lost := proxy.Lose(testenv.Answer, text)
		healed := make(chan struct{})
		go func() {
			defer close(healed)
			<-lost
			proxy.Heal()
		}()
		do()
		<-healed
	}

	var made tactus.Schedule
	losing("POST /api/v1/schedules ", func() {
		var err error
		definition := daily
		definition.Name = new("made")
		if made, err = c.Create(t.Context(), definition); err != nil || made.Name != "made" {
			t.Errorf("created %q: %v", made.Name, err)
		}
	})
	losing("PUT /api/v1/schedules/by-name/", func() {
		if put, err := c.Put(t.Context(), "a name/with a slash", daily); err != nil || put.Name != "a name/with a slash" {
			t.Errorf("put %q: %v", put.Name, err)
		}
	})
	losing("/trigger", func() {
		if run, err := c.Trigger(t.Context(), made.Id, tactus.ManualRun{}); err != nil || run.RunId == "" {
			t.Errorf("triggered %q: %v", run.RunId, err)
		}
	})
	losing("GET /api/v1/schedules/"+made.Id, func() {
		if got, err := c.Get(t.Context(), made.Id); err != nil || got.Name != "made" {
			t.Errorf("got %q: %v", got.Name, err)
		}
	})
	losing("/disable", func() { // whether it was carried out is not known, and it says so
		if _, err := c.Disable(t.Context(), made.Id, tactus.Pause{}); !tactus.Unanswered(err) {
			t.Errorf("disabled: %v, want that it was not answered", err)
		}
	})
	if schedules, runs := count(t, direct); schedules != 2 || runs != 1 {
		t.Errorf("%d schedules and %d runs, want 2 and 1", schedules, runs)
	}
}

// refusing refuses as many requests as times says before it passes others on.
func refusing(next http.Handler, times, status int, retryAfter func() string) (http.Handler, *atomic.Int64) {
	var sent atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sent.Add(1) > int64(times) {
			next.ServeHTTP(w, r)
			return
		}
		if after := retryAfter(); after != "" {
			w.Header().Set("Retry-After", after)
		}
		http.Error(w, "<html>a proxy</html>", status)
	}), &sent
}

func TestRefusalsAreRepeatedWhenThatIsSafe(t *testing.T) {
	t.Parallel()
	none, one := func() string { return "" }, func() string { return "1" }
	get := func(c *tactus.Client) error { return c.Do(t.Context(), tactus.Request{Path: "/whoami"}, nil) }
	bulk := func(c *tactus.Client) error { // has no key
		body := map[string]any{"action": "disable", "filter": map[string]any{"name": "none"}}
		return c.Do(t.Context(), tactus.Request{Method: http.MethodPost, Path: "/schedules/bulk", Body: body}, nil)
	}
	create := func(c *tactus.Client) error { _, err := c.Create(t.Context(), daily); return err }
	for _, tt := range []struct {
		name       string
		status     int
		retryAfter func() string
		cfg        tactus.Config
		do         func(*tactus.Client) error
		sent       int64
		works      bool
	}{
		{"a read, twice unavailable", 503, none, tactus.Config{}, get, 3, true},
		{"a read behind a proxy", 502, none, tactus.Config{}, get, 3, true},
		{"what has a key", 503, none, tactus.Config{}, create, 3, true},
		{"what may have been carried out", 503, none, tactus.Config{}, bulk, 1, false},
		{"what was not carried out", 429, one, tactus.Config{}, bulk, 3, true},
		{"a time", 429, func() string { return time.Now().Add(time.Second).UTC().Format(http.TimeFormat) }, tactus.Config{}, get, 3, true},
		{"nothing says to try again", 409, none, tactus.Config{}, get, 1, false},
		{"a fault of the server", 500, one, tactus.Config{}, get, 1, false},
		{"too long to wait for", 429, func() string { return "3600" }, tactus.Config{}, get, 1, false},
		{"no more attempts", 503, none, tactus.Config{Attempts: 2}, get, 2, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			handler, sent := refusing(serve(t), 2, tt.status, tt.retryAfter)
			err := tt.do(client(t, handler, tt.cfg))
			if sent.Load() != tt.sent || (err == nil) != tt.works {
				t.Errorf("sent %d times, %v; want %d times and success: %v", sent.Load(), err, tt.sent, tt.works)
			}
			if refused, ok := errors.AsType[*tactus.Error](err); err != nil && (!ok || refused.Status != int64(tt.status)) {
				t.Errorf("%T %v, want the status %d", err, err, tt.status)
			}
		})
	}
}

// TestRetryAfterIsHonoured holds that a client waits as long as it is told, no less, unless its caller gives up before.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	handler, sent := refusing(serve(t), 1, http.StatusTooManyRequests, func() string { return "2" })
	c := client(t, handler, tactus.Config{})
	began := time.Now()
	if err := c.Do(t.Context(), tactus.Request{Path: "/whoami"}, nil); err != nil || sent.Load() != 2 {
		t.Errorf("%v after %d attempts", err, sent.Load())
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("asked again after %s, and was told to wait 2 s", took)
	}
	handler, sent = refusing(serve(t), 1, http.StatusTooManyRequests, func() string { return "20" })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := client(t, handler, tactus.Config{}).Do(ctx, tactus.Request{Path: "/whoami"}, nil)
	if refused, ok := errors.AsType[*tactus.Error](err); !ok || refused.RetryAfter != 20*time.Second || sent.Load() != 1 {
		t.Errorf("%v after %d attempts: the wait ends behind the caller's deadline", err, sent.Load())
	}
	if ctx.Err() != nil {
		t.Error("it waited for a deadline before the end of the wait")
	}
}

// TestRateLimit sends more than a key may, one after the other: each request is answered in the end.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	handler, keys := guarded(t, access.Config{Ways: access.Ways{Keys: true}, Rate: 1})
	key, err := keys.Create(t.Context(), access.NewKey{Name: "deploy", Role: access.Read})
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	c := client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent.Add(1)
		handler.ServeHTTP(w, r)
	}), tactus.Config{Token: key.Key})
	const requests = 5
	for range requests {
		var who tactus.Principal
		if err := c.Do(t.Context(), tactus.Request{Path: "/whoami"}, &who); err != nil || who.Name != "deploy" {
			t.Errorf("%v, %v", who, err)
		}
	}
	if sent.Load() <= requests {
		t.Errorf("%d requests were sent %d times: none was refused", requests, sent.Load())
	}
	other := client(t, handler, tactus.Config{Token: "tactus_wrong"})
	err = other.Do(t.Context(), tactus.Request{Path: "/whoami"}, nil)
	if refused, ok := errors.AsType[*tactus.Error](err); !ok || refused.Status != http.StatusUnauthorized {
		t.Errorf("a wrong key: %v", err)
	}
}

func TestErrorsHaveAllFaults(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t), tactus.Config{})
	_, err := c.Create(t.Context(), tactus.ScheduleDefinition{CronExpression: new("61 * * * *"), Timezone: new("Mars/Base"), TaskName: "app.hello"})
	refused, ok := errors.AsType[*tactus.Error](err)
	if !ok || refused.Status != http.StatusUnprocessableEntity || len(refused.Errors) != 2 {
		t.Fatalf("%T %v, want two faults", err, err)
	}
	if !errors.Is(err, tactus.Code("cron_syntax")) || !errors.Is(err, tactus.Code("timezone_unknown")) || errors.Is(err, tactus.ErrNotFound) {
		t.Errorf("the codes are %v", refused.Errors)
	}
	for _, part := range []string{"422", "/cron_expression: ", "/timezone: "} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	for range 2 {
		definition := daily
		definition.Name = new("taken")
		_, err = c.Create(t.Context(), definition)
	}
	if !errors.Is(err, tactus.ErrNameTaken) {
		t.Errorf("%v, want name_taken", err)
	}
	if _, err = c.Named(t.Context(), "none"); !errors.Is(err, tactus.ErrNotFound) {
		t.Errorf("%v, want not_found", err)
	}
	kept, err := c.Named(t.Context(), "taken")
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = c.Patch(t.Context(), kept.Id, kept.Version, map[string]any{"description": "first"}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Patch(t.Context(), kept.Id, kept.Version-1, map[string]any{"description": nil}); !errors.Is(err, tactus.ErrVersionConflict) {
		t.Errorf("%v, want version_conflict", err)
	}
}

// TestListsGoOn reads lists of several pages, among them arguments that no float64 holds.
func TestListsGoOn(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t), tactus.Config{})
	const huge = "12345678901234567890123"
	for n := range 5 {
		body := json.RawMessage(fmt.Sprintf(`{"name": "s%d", "tags": ["t"], "interval_seconds": 60, "task_name": "app.hello", "args": [%s, 1e400]}`, n, huge))
		var made tactus.Schedule
		if err := c.Do(t.Context(), tactus.Request{Method: http.MethodPost, Path: "/schedules", Body: body}, &made); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Trigger(t.Context(), made.Id, tactus.ManualRun{}); err != nil {
			t.Fatal(err)
		}
	}
	filter := tactus.ListSchedulesParams{PageSize: new(int64(2)), Sort: new(tactus.ListSchedulesParamsSortName), Tag: &[]string{"t"}}
	list := c.Schedules(t.Context(), filter)
	for range 2 { // it can be read again
		var names []string
		for s, err := range list {
			if err != nil {
				t.Fatal(err)
			}
			if names = append(names, s.Name); fmt.Sprint(s.Args) != "["+huge+" 1e400]" {
				t.Errorf("the arguments of %s became %v", s.Name, s.Args)
			}
		}
		if got := strings.Join(names, " "); got != "s0 s1 s2 s3 s4" {
			t.Errorf("listed %s", got)
		}
	}
	for range list {
		break // whoever has enough may stop
	}
	runs := 0
	due := time.Now().Add(-time.Hour)
	for run, err := range c.Runs(t.Context(), tactus.ListRunsParams{PageSize: new(int64(2)), DueFrom: &due}) {
		if runs++; err != nil || run.Id == "" {
			t.Fatalf("%v: %v", run, err)
		}
	}
	events, cursor := 0, ""
	for page, err := range c.Events(t.Context(), tactus.ListEventsParams{Limit: new(int64(2))}) {
		if err != nil {
			t.Fatal(err)
		}
		events, cursor = events+len(page.Events), page.Next
	}
	if runs != 5 || events != 5 {
		t.Errorf("listed %d runs and %d events, want 5 and 5", runs, events)
	}
	for page, err := range c.Events(t.Context(), tactus.ListEventsParams{After: &cursor}) {
		if err != nil || len(page.Events) > 0 {
			t.Errorf("behind the end: %v, %v", page.Events, err)
		}
	}
	for _, err := range c.Runs(t.Context(), tactus.ListRunsParams{Kind: new(tactus.ListRunsParamsKind("none"))}) {
		if refused, ok := errors.AsType[*tactus.Error](err); !ok || refused.Errors[0].Location != "kind" {
			t.Errorf("a list that is refused: %v", err)
		}
	}
}

func TestDaysOfCalendars(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t), tactus.Config{})
	body := json.RawMessage(`{"days": ["2041-01-01", {"from": "2041-05-03", "to": "2041-05-05", "reason": "closed"}]}`)
	if err := c.Do(t.Context(), tactus.Request{Method: http.MethodPut, Path: "/calendars/closed", Body: body}, nil); err != nil {
		t.Fatal(err)
	}
	var kept tactus.Calendar
	if err := c.Do(t.Context(), tactus.Request{Path: "/calendars/closed"}, &kept); err != nil {
		t.Fatal(err)
	}
	var day tactus.Day
	if err := json.Unmarshal([]byte(`"2041-01-01"`), &day); err != nil || day != kept.Days[0] {
		t.Errorf("a day alone: %+v, %v", day, err)
	}
	if len(kept.Days) != 2 || kept.Days[0].From != "2041-01-01" || kept.Days[1].To != "2041-05-05" {
		t.Errorf("read %+v", kept.Days)
	}
	again := tactus.CalendarDefinition{Days: &kept.Days}
	if err := c.Do(t.Context(), tactus.Request{Method: http.MethodPut, Path: "/calendars/closed", Body: again}, &kept); err != nil || *kept.Version != 1 {
		t.Errorf("written back: version %d, %v", *kept.Version, err)
	}
}

// TestNoPasswordIsTold has every way of failing quote no part of the URL or of the key.
func TestNoPasswordIsTold(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://user:pa55word@127.0.0.1:1", "http://user:pa55word@[::1", "127.0.0.1/?pa55word", "ftp://user:pa55word@host"} {
		c, err := tactus.New(url, tactus.Config{Attempts: 1, Token: "pa55word"})
		if err == nil {
			_, err = c.Get(t.Context(), "1")
		}
		if err == nil || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%v", err)
		}
	}
	c := clientOf(t, "http://127.0.0.1:1", tactus.Config{Token: "pa55word\n"})
	if _, err := c.Get(t.Context(), "1"); err == nil || strings.Contains(err.Error(), "pa55word") || !strings.Contains(err.Error(), "Authorization") {
		t.Errorf("a key with a line break: %v", err)
	}
}

// TestActorAndReason stand in the event.
func TestActorAndReason(t *testing.T) {
	t.Parallel()
	c := client(t, serve(t), tactus.Config{Actor: "deploy"})
	if _, err := c.Put(tactus.WithReason(t.Context(), "月末の締め"), "one", daily); err != nil {
		t.Fatal(err)
	}
	for page, err := range c.Events(t.Context(), tactus.ListEventsParams{}) {
		text, _ := json.Marshal(page.Events)
		if err != nil || !strings.Contains(string(text), "deploy") || !strings.Contains(string(text), "月末の締め") {
			t.Errorf("%v: %s", err, text)
		}
	}
}
