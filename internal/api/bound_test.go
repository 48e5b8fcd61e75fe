package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// fill makes schedules with some runs each, and many more runs of the last one; and the log of their creation.
const fill = `
insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task, invalid_reason)
select ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'schedule ' || n, 1, n % 3 > 0, '{"cron":"* * * * *","timezone":"UTC"}', '{}',
    t, t, t, t, 'category ' || n % 50, array['all', 'tag ' || n % 1000], format('{"name":"schedule %s","task_name":"app.task","cron_expression":"* * * * *","timezone":"UTC","kwargs":{"text":"%s"}}', n, repeat('x', 300))::json,
    '{"task_name":"app.task"}', case when n % 1000 = 7 then 'cron_syntax' end
from generate_series(1, @schedules::int) n, lateral (select '2026-01-01'::timestamptz + n * interval '1 second') at (t);
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, finished_at, error)
select gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, due, 'scheduled',
    case when k % 4 = 0 then 'failed' when n = @schedules::int and k < 2000 then 'missed' else 'succeeded' end, 1, due, due, case when k % 4 = 0 then 'ValueError()' end
from generate_series(1, @schedules::int) n, lateral generate_series(1, case when n = @schedules::int then @busy::int else @runs::int end) k,
    lateral (select now() - k * interval '1 second') at (due);
insert into tactus.outbox (xid, topic, aggregate_id, version, type, data)
select (3 + row_number() over (order by created_at) % 500)::text::xid8, 'schedule', id, 1, 'schedule.created', definition from tactus.schedules order by created_at`

// size is how much there is: TACTUS_TEST_SCALE=full has 100 runs of each schedule and a million of one, eleven million
// in all. Then, on two processors for which twenty others waited, half of the answers took, in milliseconds: a page 40
// to 67, one of 1000 schedules 470, a schedule 11, its next due times 13, its history 6.
func size() pgx.NamedArgs {
	if os.Getenv("TACTUS_TEST_SCALE") == "full" {
		return pgx.NamedArgs{"schedules": 100_000, "runs": 100, "busy": 1_000_000}
	}
	return pgx.NamedArgs{"schedules": 100_000, "runs": 1, "busy": 100_000}
}

// TestCostsAreBounded requests every endpoint on a full database: none takes more time or memory than its bound,
// however much is stored.
func TestCostsAreBounded(t *testing.T) {
	s := serveOver(t, testenv.Connect(t, testenv.DirectURL(t))) // a pooler would share what watch sets
	filled := time.Now()
	for sql := range strings.SplitSeq(fill, ";\n") {
		if _, err := s.pool.Exec(t.Context(), sql, pgx.QueryExecModeExec, size()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.pool.Exec(t.Context(), "vacuum analyze"); err != nil {
		t.Fatal(err)
	}
	t.Logf("filled in %s", time.Since(filled))
	busy := fmt.Sprintf("/schedules/00000000-0000-7000-8000-%012x", size()["schedules"])
	var run string
	if err := s.pool.QueryRow(t.Context(), "select id from tactus.runs limit 1").Scan(&run); err != nil {
		t.Fatal(err)
	}
	// behind half of the log
	old := forged(t, s.events(t, url.Values{"after": {"now"}}).Next, "200:200:")
	var strange strings.Builder
	for n := range 20_000 {
		fmt.Fprintf(&strange, `"m%d":1,`, n)
	}
	page, large := 50*time.Millisecond, 600*time.Millisecond
	const few, many, all = 1_000, 4_000, 16_000 // blocks: along an index, through an index, through the table
	pool, effort := testenv.CountEffort(t, s.pool)
	watched := serveOver(t, pool)
	asked := map[string][]string{} // the queries
	day := func(n int) string { return time.Now().UTC().AddDate(0, 0, n).Format("2006-01-02T00:00:00Z") }
	token := func(path string) string {
		return url.QueryEscape(s.do(t, "GET", path, "").want(t, 200).member(t, "next_page_token"))
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		most               time.Duration // of the processors, on a machine at rest
		mib                uint64
		blocks             int // of 8 KiB
	}{
		{"GET", "/schedules", "", 200, page, 8, many},
		{"GET", "/schedules?page=100", "", 200, page, 8, many},
		{"GET", "/schedules?page=2000", "", 200, page, 8, many},
		{"GET", "/schedules?per_page=1000", "", 200, large, 64, 24_000},
		{"GET", "/schedules?per_page=1000&page=100", "", 200, large, 64, 24_000},
		{"GET", "/schedules?enabled=false&page=500", "", 200, page, 8, many},
		{"GET", "/schedules?category=category+7", "", 200, page, 8, many},
		{"GET", "/schedules?category=category+7&tag=tag+7&page=2", "", 200, page, 8, many},
		{"GET", "/schedules?tag=tag+7", "", 200, page, 8, many},
		{"GET", "/schedules?tag=all", "", 200, page, 8, many},
		{"GET", "/schedules?tag=none", "", 200, page, 8, few},
		{"GET", "/schedules?q=EDULE+9", "", 200, page, 8, many},
		{"GET", "/schedules?q=nothing", "", 200, page, 8, many},
		{"GET", "/schedules?q=schedule", "", 200, page, 8, many},
		{"GET", "/schedules?invalid=true", "", 200, page, 8, few},
		{"GET", "/schedules?invalid=false", "", 200, page, 8, many},
		{"GET", "/schedules?invalid=false&page=1500", "", 200, 2 * page, 8, all},
		{"GET", "/schedules?task_name=app.task", "", 200, page, 8, many},
		{"GET", "/schedules?task_name=app.task&page=1500", "", 200, 2 * page, 8, all},
		{"GET", "/schedules?task_name=none", "", 200, page, 8, few},
		{"GET", "/schedules?page=3000", "", 200, page, 8, many},
		{"GET", "/schedules?name=schedule+77", "", 200, page, 8, few},
		{"GET", busy, "", 200, page, 4, few},
		{"GET", busy + "/next", "", 200, page, 4, few},
		{"GET", busy + "/next?n=1000", "", 200, 2 * page, 16, few},
		{"GET", busy + "/history", "", 200, page, 4, few},
		{"GET", busy + "/history?limit=1000", "", 200, 2 * page, 32, few},
		{"GET", busy + "/history?offset=10000", "", 200, page, 4, few},
		{"GET", busy + "/history?offset=900000", "", 422, page, 4, few},
		{"GET", busy + "/history?before=2026-01-01T00:00:00Z", "", 200, page, 4, few},
		{"GET", "/tasks/" + run + "/status", "", 200, page, 4, few},
		{"GET", "/schedules/tasks/" + run + "/status", "", 200, page, 4, few},
		{"GET", "/schedules?sort=name", "", 200, page, 8, many},
		{"GET", "/schedules?page_size=50", "", 200, page, 8, many},
		{"GET", "/schedules?queue=none", "", 200, 2 * page, 8, few},
		{"GET", "/schedules?text=nothing", "", 200, 2 * page, 8, few},
		{"GET", "/schedules?owner=none", "", 200, page, 8, many},
		{"GET", "/schedules?owner=table:none", "", 200, 2 * page, 8, few},
		{"GET", "/schedules?owner=source:none", "", 200, page, 8, few},
		{"GET", "/schedules?last_status=unknown", "", 200, 2 * page, 8, all},
		{"GET", "/schedules?sort=next&tag=tag+7", "", 200, page, 8, many},
		{"GET", "/schedules?sort=last&tag=tag+7", "", 200, page, 8, many},
		{"GET", "/schedules?sort=next", "", 422, page, 8, many},
		{"GET", "/upcoming", "", 200, page, 8, few},
		{"GET", "/upcoming?tag=tag+7&limit=1000", "", 200, 2 * page, 16, many},
		{"POST", "/schedules/bulk", `{"action":"disable","dry_run":true,"filter":{}}`, 200, 12 * page, 32, all}, // as the real one
		{"POST", "/schedules/bulk", `{"action":"disable","dry_run":true,"filter":{"queue":"none"}}`, 200, 4 * page, 16, many},
		{"GET", "/runs", "", 200, page, 8, few},
		{"GET", "/runs?page_size=1000", "", 200, 4 * page, 64, all},
		{"GET", "/runs?status=failed", "", 200, page, 8, few},
		{"GET", "/runs?status=unknown", "", 200, 2 * page, 8, many},
		{"GET", "/runs?kind=backfill", "", 200, 2 * page, 8, 2 * all},
		{"GET", "/runs?worker=none", "", 200, 2 * page, 8, 2 * all},
		{"GET", "/runs?error=nothing", "", 200, 2 * page, 8, many},
		{"GET", "/runs?task_name=app.task", "", 200, 2 * page, 8, all},
		{"GET", "/runs?task_name=none", "", 200, page, 8, few},
		{"GET", "/runs?tag=all&status=failed", "", 200, 2 * page, 8, many},
		{"GET", "/runs?tag=tag+7&page_size=10", "", 200, page, 8, all},
		{"GET", "/runs?queue=none", "", 200, 2 * page, 8, all},
		{"GET", "/runs?finished_from=2026-01-01T00:00:00Z&finished_to=2026-01-02T00:00:00Z", "", 200, page, 8, few},
		{"GET", "/runs?schedule=" + strings.TrimPrefix(busy, "/schedules/") + "&kind=manual", "", 200, 2 * page, 8, many},
		{"GET", "/runs/" + run, "", 200, page, 4, few},
		{"GET", "/runs/summary", "", 200, 12 * page, 8, all},
		{"GET", "/runs/summary?tag=all", "", 200, 4 * page, 8, 4 * all},
		{"GET", "/runs/summary?schedule=" + strings.TrimPrefix(busy, "/schedules/"), "", 200, 12 * page, 8, all},
		{"GET", "/events?limit=100", "", 200, page, 8, few},
		{"GET", "/events?after=now", "", 200, page, 4, few},
		{"GET", "/events?limit=100&after=" + old, "", 200, page, 8, 2 * few},
		{"GET", "/events?limit=1000", "", 200, 4 * page, 64, 6_000},
		{"GET", "/events?type=schedule.deleted", "", 200, page, 4, few},
		{"GET", "/events?schedule=00000000-0000-7000-8000-000000000000", "", 200, page, 4, few},
		{"GET", "/schedules/presets", "", 200, page, 4, few},
		{"GET", busy + "/events", "", 200, page, 4, few},
		{"GET", busy + "/backfills", "", 200, page, 4, few},
		{"GET", "/backfills/none", "", 404, page, 4, few},
		{"GET", "/routes", "", 200, page, 4, few},
		{"GET", "/calendars", "", 200, page, 4, few},
		{"GET", "/calendars/none", "", 404, page, 4, few},
		{"GET", "/notification-rules", "", 200, page, 4, few},
		{"GET", "/notification-rules/none", "", 404, page, 4, few},
		{"GET", "/schedules?enabled_only=true&page=500", "", 200, page, 8, many},
		{"GET", "/schedules?state=active&page=1000", "", 200, 2 * page, 8, all},
		{"GET", "/schedules?state=completed", "", 200, 2 * page, 8, all},
		{"GET", "/schedules?tags=tag+7,all", "", 200, page, 8, many},
		{"GET", "/schedules?pause_group=none", "", 200, page, 8, few},
		{"GET", "/schedules?sort=name&page_token=" + token("/schedules?sort=name&page_size=1000"), "", 200, page, 8, many},
		{"GET", "/runs?page_token=" + token("/runs?page_size=1000"), "", 200, page, 8, few},
		{"GET", "/runs?due_from=2020-01-01T00:00:00Z&due_to=2120-01-01T00:00:00Z&worker=none", "", 200, 2 * page, 8, 2 * all},
		{"GET", "/runs/summary?status=failed&kind=manual&worker=none&error=nothing", "", 200, 12 * page, 8, all},
		{"GET", "/runs/summary?task_name=app.task&queue=none", "", 200, 4 * page, 8, 4 * all},
		{"GET", "/runs/summary?due_from=" + day(-7) + "&due_to=" + day(0), "", 200, 12 * page, 8, all},
		{"GET", "/events?actor=nobody", "", 200, page, 8, many},
		{"GET", "/events?on_behalf_of=nobody", "", 200, page, 8, many},
		{"GET", "/upcoming?from=" + day(1) + "&to=" + day(2) + "&limit=1000", "", 200, 2 * page, 16, many},
		{"GET", busy + "/next?n=1000&language=ja&after=2120-01-01T00:00:00Z", "", 200, 2 * page, 16, few},
		{"GET", busy + "/events?before=2&limit=100", "", 200, page, 4, few},
		{"GET", busy + "/backfills?before=" + run + "&limit=100", "", 200, page, 4, few},
		{"GET", "/routes?page=2&per_page=100", "", 200, page, 4, few},
		{"GET", "/calendars?page=2&per_page=100&timezone=Asia/Tokyo", "", 200, page, 4, few},
		{"GET", "/calendars/none?timezone=Asia/Tokyo", "", 404, page, 4, few},
		{"GET", "/notification-rules?page=2&per_page=100", "", 200, page, 4, few},
		{"GET", "/whoami", "", 200, page, 4, few},
		{"GET", "/keys", "", 200, page, 4, few},
		{"GET", "/keys/" + run, "", 404, page, 4, few},
		{"POST", "/runs/cancel", `{"dry_run":true,"filter":{}}`, 200, 8 * page, 16, 4 * all},
		{"POST", "/runs/cancel", `{"dry_run":true,"filter":{"worker":"none"}}`, 200, 8 * page, 16, 4 * all},
		{"POST", "/runs/rerun", `{"dry_run":true,"filter":{"status":["failed"]}}`, 200, 12 * page, 32, all},
		{"POST", "/runs/rerun", `{"dry_run":true,"filter":{"status":["failed"],"queue":"none"}}`, 200, 4 * page, 16, all},
		{"POST", "/runs/" + run + "/rerun", "", 202, 2 * page, 4, few},
		{"POST", "/runs/" + run + "/cancel", "", 409, 2 * page, 4, few},
		{"POST", "/schedules/compare", `{"name":"schedule 77","task_name":"t","cron_expression":"* * * * *"}`, 200, 2 * page, 4, few},
		{"POST", busy + "/backfill", `{"from":"` + day(-6) + `","to":"` + day(0) + `","dry_run":true}`, 200, 12 * page, 32, 2 * all},
		{"PUT", "/routes/*?dry_run=true", `{"queue":"x"}`, 200, 12 * page, 64, 2 * all},
		{"DELETE", "/routes/none?dry_run=true", "", 404, page, 4, few},
		{"PATCH", busy, `{"description":"x"}`, 200, 2 * page, 4, few},
		{"PUT", busy, `{"task_name":"app.task","cron_expression":"* * * * *"}`, 200, 2 * page, 4, few},
		{"PUT", "/schedules/by-name/schedule%2077", `{"task_name":"app.task","cron_expression":"* * * * *"}`, 200, 2 * page, 4, few},
		{"POST", busy + "/enable", "", 200, 2 * page, 4, few},
		{"POST", busy + "/toggle", "", 200, 2 * page, 4, few},
		{"POST", busy + "/skip", `{"count":1}`, 200, 2 * page, 4, few},
		{"POST", busy + "/disable", "", 200, 2 * page, 4, few},
		{"POST", busy + "/trigger", "", 202, 2 * page, 4, few},
		{"POST", "/schedules", `{"task_name":"t","cron_expression":"* * * * *"}`, 201, 2 * page, 4, few},
		{"POST", "/schedules", "{" + strange.String() + `"x":1}`, 422, 3 * page, 64, few},
		{"POST", "/schedules/preview", "{" + strange.String() + `"x":1}`, 422, 3 * page, 64, few},
		{"POST", "/schedules/preview", `{"cron_expression":"0 0 29 2 1","n":1000}`, 200, 4 * page, 32, few},
		{"POST", "/schedules/preview", `{"cron_expression":"* * * * *","n":1000}`, 200, 2 * page, 32, few},
	} {
		name, _, _ := strings.Cut(c.method+" "+c.path+" "+c.body[:min(len(c.body), 20)], "00000000-")
		path, query, _ := strings.Cut(c.path, "?")
		asked[c.method+" "+path] = append(asked[c.method+" "+path], query)
		ask := func(s service) {
			a := s.do(t, c.method, c.path, c.body)
			if a.status != c.status {
				t.Errorf("%s: %d %.300s", name, a.status, a.body)
			}
			if a.status == 422 && strings.Count(a.body, `"location"`) > 50 {
				t.Errorf("%s: %d faults", name, strings.Count(a.body, `"location"`))
			}
		}
		took := leastCost(t, c.most, func() { ask(s) }, func() (int, time.Duration) { return effort.Of(func() { ask(watched) }) })
		t.Logf("%-60s %8s and %8s of PostgreSQL's, %3d MiB %6d blocks",
			name, tenths(took.ours), tenths(took.theirs), took.mib, took.blocks)
		if took.blocks > c.blocks {
			t.Errorf("%s: PostgreSQL looks at %d blocks, at most %d", name, took.blocks, c.blocks)
		}
		if took.mib > c.mib {
			t.Errorf("%s: %d MiB, at most %d", name, took.mib, c.mib)
		}
		if took.ours+took.theirs <= c.most {
			continue
		}
		// slowness is how much slower a processor does the same work now than on a machine at rest.
		slowness := max(1, float64(yardstick(t, pool, effort))/float64(rest))
		// Only a cost far above the bound is a fault: without a bound, a cost is tens of times as high.
		if float64(took.ours+took.theirs) > slack*slowness*float64(c.most) {
			t.Errorf("%s: %s and %s of PostgreSQL's, at most %.1f times %s", name, took.ours, took.theirs, slack*slowness, c.most)
		}
	}
	blocks, _ := effort.Of(func() {
		if n, err := catalog.New(pool).Invalid(t.Context()); err != nil || n != 100 {
			t.Errorf("the metric of invalid schedules is %d: %v", n, err)
		}
	})
	if blocks > few {
		t.Errorf("the metric of invalid schedules looks at %d blocks", blocks)
	}
	for _, missing := range unasked(t, s, asked) {
		t.Errorf("nothing says what %s may cost: give it a line above", missing)
	}
}

// cost is the cost of a request.
type cost struct {
	ours, theirs time.Duration // of the processors, in this process and in PostgreSQL's
	mib          uint64        // allocated in this process
	blocks       int           // that PostgreSQL looks at
}

// leastCost repeats a request, up to seven times, until it takes no more processor time than most: other programs can
// only add to a cost. watched returns PostgreSQL's own count; counting adds to this process' cost.
func leastCost(t *testing.T, most time.Duration, ask func(), watched func() (int, time.Duration)) cost {
	t.Helper()
	least := cost{ours: time.Hour, theirs: time.Hour, mib: math.MaxUint64}
	for range 7 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		least.ours = min(least.ours, testenv.Processor(t, ask))
		runtime.ReadMemStats(&after)
		least.mib = min(least.mib, (after.TotalAlloc-before.TotalAlloc)>>20)
		blocks, theirs := watched()
		least.blocks, least.theirs = blocks, min(least.theirs, theirs)
		if least.ours+least.theirs <= most {
			break
		}
	}
	return least
}

// slack allows for programs on the same processor that slow down a request, but not the yardstick.
const slack = 4

// rest is the processor time of the yardstick on a machine that does nothing else.
const rest = 12 * time.Millisecond

// yardstick returns the processor time of a query whose work is always the same.
func yardstick(t *testing.T, pool *pgxpool.Pool, effort *testenv.Effort) time.Duration {
	t.Helper()
	return effort.Least(func() {
		var n int
		if err := pool.QueryRow(t.Context(), "select count(*) from generate_series(1, 100000)").Scan(&n); err != nil {
			t.Fatal(err)
		}
	})
}

func tenths(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }

// TestPagesAreBounded asks for more than an answer may hold.
func TestPagesAreBounded(t *testing.T) {
	t.Parallel()
	s := serve(t)
	body := fmt.Sprintf(`{"task_name":"t","cron_expression":"* * * * *","kwargs":{"x":%q}}`, strings.Repeat("x", 250<<10))
	first := s.do(t, "POST", "/schedules", body).want(t, 201)
	if _, err := s.pool.Exec(t.Context(), `
		insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
		select gen_random_uuid(), name || n, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task
		from tactus.schedules, generate_series(1, 150) n`); err != nil {
		t.Fatal(err)
	}
	if a := s.inTime(t, "/schedules?per_page=1000"); a.status != 422 || a.member(t, "code") != "page_too_large" ||
		!strings.Contains(a.body, "a smaller per_page") {
		t.Errorf("%d %.300s", a.status, a.body)
	}
	s.inTime(t, "/schedules?per_page=50").want(t, 200)
	s.do(t, "GET", "/schedules/"+first.member(t, "id"), "").want(t, 200)
	// A page has as many schedules as there is room for, whatever limit the client asks for.
	for _, sort := range []string{"", "&sort=name", "&sort=next"} {
		seen, pages, token := map[string]bool{}, 0, ""
		for done := false; !done; pages++ {
			a := s.inTime(t, "/schedules?page_size=200"+sort+token).want(t, 200)
			var page struct {
				Schedules []struct{ ID string }
				Next      string `json:"next_page_token"`
			}
			if err := json.Unmarshal([]byte(a.body), &page); err != nil {
				t.Fatal(err)
			}
			for _, schedule := range page.Schedules {
				seen[schedule.ID] = true
			}
			token, done = "&page_token="+url.QueryEscape(page.Next), page.Next == ""
		}
		if len(seen) != 151 || pages < 3 || pages > 4 {
			t.Errorf("%d of 151 schedules in %d pages%s", len(seen), pages, sort)
		}
	}
}

// TestAnswersAreBoundedTogether has clients that request large pages and do not read them. Their answers hold no more
// than 64 MiB of documents together, and once these clients are gone, others are answered.
func TestAnswersAreBoundedTogether(t *testing.T) {
	t.Parallel()
	s := serve(t)
	body := fmt.Sprintf(`{"task_name":"t","cron_expression":"* * * * *","kwargs":{"x":%q}}`, strings.Repeat("x", 250<<10))
	s.do(t, "POST", "/schedules", body).want(t, 201)
	if _, err := s.pool.Exec(t.Context(), `
		insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
		select gen_random_uuid(), name || n, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task
		from tactus.schedules, generate_series(1, 60) n`); err != nil {
		t.Fatal(err)
	}
	s.inTime(t, "/schedules").want(t, 200)
	var open []*http.Response
	refused := false
	for range 12 {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/schedules", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode == http.StatusOK {
			open = append(open, response)
			continue
		}
		told, err := io.ReadAll(response.Body)
		if strings.Contains(string(told), "answers_too_large") {
			refused = true
			if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
				t.Errorf("%d without Retry-After", response.StatusCode)
			}
		} else {
			t.Logf("%d %s %v", response.StatusCode, told, err) // a busy machine
		}
	}
	if !refused { // the kernel may have taken an answer whole, so how many are open does not tell
		t.Errorf("none of 12 answers of 12 MiB was refused; %d are open", len(open))
	}
	s.do(t, "POST", "/schedules", minutely).want(t, 201) // what was written is answered
	for _, response := range open {
		response.Body.Close()
	}
	testenv.Eventually(t, "others are answered", func() error {
		if a := s.do(t, "GET", "/schedules", ""); a.status != http.StatusOK {
			return errors.New(a.body)
		}
		return nil
	})
}

// inTime repeats a request while the answer is that it took too long, which may happen on a busy machine.
func (s service) inTime(t *testing.T, path string, headers ...string) (a answer) {
	t.Helper()
	testenv.Eventually(t, "there is an answer", func() error {
		if a = s.do(t, "GET", path, "", headers...); a.status == http.StatusServiceUnavailable {
			return errors.New(a.body)
		}
		return nil
	})
	return a
}

// TestStreamsAreLimited opens more streams of events than a client may have.
func TestStreamsAreLimited(t *testing.T) {
	t.Parallel()
	s := serve(t)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	open := func() (int, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/events", nil)
		if err != nil {
			return 0, err
		}
		request.Header.Set("Accept", "text/event-stream")
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return 0, err
		}
		t.Cleanup(func() { _ = response.Body.Close() })
		_, err = bufio.NewReader(response.Body).ReadString('\n') // the stream has begun
		if response.StatusCode != http.StatusOK {
			err = nil
		}
		return response.StatusCode, err
	}
	for n := range 16 {
		if status, err := open(); err != nil || status != http.StatusOK {
			t.Fatalf("stream %d: %d, %v", n, status, err)
		}
	}
	if status, err := open(); err != nil || status != http.StatusTooManyRequests {
		t.Errorf("one more: %d, %v", status, err)
	}
	s.do(t, "GET", "/events", "").want(t, 200)
	hangUp()
	ctx = t.Context()
	testenv.Eventually(t, "a stream may be opened again", func() error {
		status, err := open()
		if err == nil && status != http.StatusOK {
			err = errors.New(strconv.Itoa(status))
		}
		return err
	})
}

// TestWorkIsGivenUp closes the connection of a request while the database works on it: the database stops, too.
func TestWorkIsGivenUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), "lock table tactus.schedules in access exclusive mode"); err != nil {
		t.Fatal(err)
	}
	waiting := func(want int) error {
		var n int
		err := s.pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&n)
		if err == nil && n != want {
			err = fmt.Errorf("%d wait", n)
		}
		return err
	}
	for _, path := range []string{"/schedules", "/upcoming"} {
		ctx, hangUp := context.WithCancel(t.Context())
		defer hangUp()
		gone := make(chan error, 1)
		go func() {
			request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
			if err == nil {
				_, err = http.DefaultClient.Do(request)
			}
			gone <- err
		}()
		testenv.Eventually(t, "the request waits", func() error { return waiting(1) })
		hangUp()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the client: %v", err)
		}
		testenv.Eventually(t, "it waits no more", func() error { return waiting(0) })
	}
}
