package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// shop is the service on a database of the test's own.
type shop struct {
	*testing.T
	url  string
	pool *pgxpool.Pool
}

func open(t *testing.T) shop {
	t.Helper()
	pool := testenv.Database(t)
	if _, err := pool.Exec(t.Context(), createTable); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(newService(pool))
	t.Cleanup(server.Close)
	return shop{t, server.URL + prefix, pool}
}

// ask sends a request, and expects a status.
func (s shop) ask(method, path, body string, status int) (answer struct {
	entry
	Schedules []entry
	History   []execution
	Total     int
	Detail    string
	Errors    []struct{ Location string }
},
) {
	s.Helper()
	request, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		s.Fatal(err)
	}
	if response.StatusCode != status {
		s.Fatalf("%s %s: %d, want %d: %s", method, path, response.StatusCode, status, text)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			s.Fatalf("%v: %s", err, text)
		}
	}
	return answer
}

// rows counts both parts: living schedules, events and rows of our own.
func (s shop) rows() (text string) {
	s.Helper()
	err := s.pool.QueryRow(s.Context(), `select format('%s schedules, %s events, %s rows', (select count(*) from tactus.schedules where deleted_at is null),
		(select count(*) from tactus.outbox), (select count(*) from listed_info_fetches))`).Scan(&text)
	if err != nil {
		s.Fatal(err)
	}
	return text
}

func (s shop) wantRows(want string) {
	s.Helper()
	if got := s.rows(); got != want {
		s.Errorf("%s, want %s", got, want)
	}
}

const daily = `{"name": "daily", "cron_expression": "0 9 * * *", "period_type": "yesterday", "description": "毎日 9 時", "codes": ["7203"]}`

func TestLifeOfASchedule(t *testing.T) {
	t.Parallel()
	s := open(t)
	made := s.ask("POST", "/", daily, 201)
	at := "/" + made.ID.String()
	if made.TaskName != taskName || made.Category != category || made.Kwargs.PeriodType != "yesterday" || !made.Enabled || made.NextRunAt == nil || made.LastRunAt != nil {
		t.Errorf("made: %+v", made.entry)
	}
	schedule, err := outbox.Get(t.Context(), s.pool, made.ID)
	if err != nil || string(schedule.Kwargs) != `{"period_type":"yesterday","codes":["7203"],"market":null}` {
		t.Errorf("kwargs %s, %v", schedule.Kwargs, err)
	}
	if got := s.ask("PUT", at, `{"period_type": "custom", "from_date": "2026-01-01", "to_date": "2026-01-31", "market": "0111", "enabled": false}`, 200); got.Name != "daily" || got.CronExpression != "0 9 * * *" || *got.Kwargs.FromDate != "2026-01-01" || got.Enabled || got.NextRunAt != nil {
		t.Errorf("changed: %+v", got.entry)
	}
	if got := s.ask("PUT", at, `{"name": "monthly", "preset_name": "monthly_first", "period_type": "30days"}`, 200); got.Name != "monthly" || got.CronExpression != "0 9 1 * *" || got.FromDate != nil || *got.Kwargs.Market != "0111" {
		t.Errorf("renamed: %+v", got.entry)
	}
	if got := s.ask("POST", at+"/toggle", "", 200); !got.Enabled {
		t.Errorf("toggled: %+v", got.entry)
	}
	s.ask("POST", "", strings.Replace(daily, "daily", "other", 1), 201)
	s.ask("POST", at+"/toggle", "", 200)
	if got := s.ask("GET", "?enabled_only=true&limit=10", "", 200); got.Total != 1 || got.Schedules[0].Name != "other" {
		t.Errorf("listed: %+v", got)
	}
	if got := s.ask("GET", "/?limit=1&offset=1", "", 200); got.Total != 2 || len(got.Schedules) != 1 || got.Schedules[0].Name != "monthly" {
		t.Errorf("listed: %+v", got)
	}
	run, err := outbox.NewStore(s.pool, "", handover.Limits{}.Check).Trigger(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.ask("GET", at+"/history", "", 200); got.Total != 1 || got.History[0].ID != run || got.History[0].Status != string(domain.Due) {
		t.Errorf("history: %+v", got)
	}
	if got := s.ask("GET", at, "", 200); got.LastRunAt == nil {
		t.Errorf("after a run: %+v", got.entry)
	}
	s.ask("DELETE", at, "", 204)
	s.ask("DELETE", at, "", 404)
	s.ask("GET", at, "", 404)
	s.ask("GET", at+"/history", "", 404)
	if got := s.rows(); !strings.HasPrefix(got, "1 schedules, ") || !strings.HasSuffix(got, ", 1 rows") {
		t.Errorf("left: %s", got)
	}
}

func TestRules(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.ask("POST", "", daily, 201)
	at := "/" + s.ask("GET", "", "", 200).Schedules[0].ID.String()
	create := func(members string) string { return `{"name": "n", "cron_expression": "0 9 * * *", ` + members + `}` }
	for _, c := range []struct {
		method, path, body string
		status             int
		location           string
	}{
		{"POST", "", create(`"period_type": "sometimes"`), 422, "/period_type"},
		{"POST", "", create(`"description": "no period"`), 422, "/period_type"},
		{"POST", "", create(`"period_type": "custom", "from_date": "2026-01-01"`), 422, "/to_date"},
		{"POST", "", create(`"period_type": "custom", "to_date": "2026-01-01"`), 422, "/from_date"},
		{"POST", "", create(`"period_type": "custom", "from_date": "2026-02-30", "to_date": "2026-03-01"`), 422, "/from_date"},
		{"POST", "", create(`"period_type": "custom", "from_date": "2026-02-02", "to_date": "2026-02-01"`), 422, "/to_date"},
		{"POST", "", create(`"period_type": "7days", "from_date": "2026-02-02"`), 422, "/from_date"},
		{"POST", "", create(`"period_type": "7days", "codes": ["7203", ""]`), 422, "/codes/1"},
		{"POST", "", create(`"period_type": "7days", "surprise": 1`), 422, ""},
		{"POST", "", `{"cron_expression": "0 9 * * *", "period_type": "7days"}`, 422, "/name"},
		{"POST", "", `{"name": "n", "cron_expression": "61 * * * *", "period_type": "7days"}`, 422, "/cron_expression"},
		{"POST", "", `{"name": "n", "preset_name": "sometimes", "period_type": "7days"}`, 422, "/preset_name"},
		{"POST", "", daily, 409, ""},
		{"PUT", at, `{"period_type": "custom"}`, 422, "/from_date"},
		{"PUT", at, `{"name": ""}`, 422, "/name"},
		{"PUT", "/" + outbox.NewID().String(), `{"name": "n"}`, 404, ""},
		{"POST", "/x/toggle", ``, 404, ""},
		{"GET", "?limit=1001", ``, 422, "limit"},
	} {
		got := s.ask(c.method, c.path, c.body, c.status)
		found := c.location == ""
		for _, e := range got.Errors {
			found = found || e.Location == c.location
		}
		if !found || got.Detail == "" {
			t.Errorf("%s %s %s: %s %+v", c.method, c.path, c.body, got.Detail, got.Errors)
		}
	}
	s.wantRows("1 schedules, 1 events, 1 rows")
	foreign, err := outbox.NewStore(s.pool, "", handover.Limits{}.Check).Create(t.Context(), domain.Definition{TaskName: "t", CronExpression: "* * * * *"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range [][2]string{{"GET", ""}, {"PUT", ""}, {"DELETE", ""}, {"POST", "/toggle"}, {"GET", "/history"}} {
		s.ask(c[0], "/"+foreign.ID.String()+c[1], `{}`, 404)
	}
	s.wantRows("2 schedules, 2 events, 1 rows")
}

// TestBothHalvesOrNeither has the database refuse the row after the schedule is written, and many requests create one
// name.
func TestBothHalvesOrNeither(t *testing.T) {
	t.Parallel()
	s := open(t)
	made := s.ask("POST", "", daily, 201)
	if _, err := s.pool.Exec(t.Context(), `alter table listed_info_fetches add check (market <> 'closed')`); err != nil {
		t.Fatal(err)
	}
	s.ask("POST", "", `{"name": "n", "cron_expression": "0 9 * * *", "period_type": "7days", "market": "closed"}`, 503)
	s.ask("PUT", "/"+made.ID.String(), `{"cron_expression": "0 10 * * *", "market": "closed"}`, 503)
	s.wantRows("1 schedules, 1 events, 1 rows")
	if got := s.ask("GET", "/"+made.ID.String(), "", 200); got.CronExpression != "0 9 * * *" || got.Kwargs.Market != nil {
		t.Errorf("half a change: %+v", got.entry)
	}
	var all sync.WaitGroup
	statuses := make(chan int, 20)
	for range cap(statuses) {
		all.Go(func() {
			response, err := http.Post(s.url, "application/json", strings.NewReader(strings.Replace(daily, `"daily"`, `"wanted"`, 1)))
			if err != nil {
				t.Error(err)
				return
			}
			response.Body.Close()
			statuses <- response.StatusCode
		})
	}
	all.Wait()
	close(statuses)
	counts := map[int]int{}
	for status := range statuses {
		counts[status]++
	}
	if counts[http.StatusCreated] != 1 || counts[http.StatusConflict] != 19 {
		t.Errorf("answers by status: %v", counts)
	}
	s.wantRows("2 schedules, 2 events, 2 rows")
}
