package poison

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/pages"
)

// badCalendars has calendars whose rows somebody has changed by hand, or deleted under their schedules.
func badCalendars(w *world) {
	for n, days := range []string{
		`["never"]`, `7`, `{"from":"2000-01-01"}`, `[{"from":"2000-13-01"}]`, `[{"from":"2000-01-01","rrule":"FREQ=NEVER"}]`,
		`[{"from":"1990-01-01T00:00","to":"1990-01-01T00:01","rrule":"FREQ=MINUTELY"}]`, `[{"from":"2000-01-01","reason":"cut \ud83d\u0000"}]`,
		`[{"from":"2000-01-01","timezone":"Nowhere/No"}]`, "gone",
	} {
		name := fmt.Sprint("bad-", n)
		w.calendar(name)
		for _, on := range []string{"skip", "next_allowed"} {
			w.badSchedule("by "+name+" "+on, func(d *domain.Definition) { d.ExcludeCalendars, d.OnExcluded = []string{name}, on })
		}
		if days == "gone" {
			w.sql(`update tactus.calendars set deleted_at = now() where name = $1`, name)
		} else {
			w.sql(`update tactus.calendars set days = $2, version = version + 1 where name = $1`, name, days)
		}
	}
}

// badBackfills has backfills whose rows somebody has changed by hand.
func badBackfills(w *world) {
	for n, set := range []string{
		`due_times = '{infinity,-infinity}'`, `due_times = array[null::timestamptz]`, `due_times = '{}'`, `place = 7`, `total = 2147483647`,
		`max_active = 0`, `max_active = -1`, `schedule_id = gen_random_uuid()`, `schedule_version = 9223372036854775807`, `fired = -5`,
		`actor = E'two\nlines', reason = repeat('é', 100000)`, `created_at = 'infinity'`,
	} {
		s := w.badSchedule(fmt.Sprint("backfilled ", n), nil)
		id := w.backfill(s, 3*time.Second)
		w.sql(`update tactus.backfills set `+set+` where id = $1`, id)
	}
}

func (w *world) calendar(name string, days ...calendar.Item) {
	w.Helper()
	if _, _, err := w.store.PutCalendar(w.Context(), domain.Calendar{Name: name, Days: append([]calendar.Item{}, days...)}, 0); err != nil {
		w.Fatal(err)
	}
}

// backfill asks for the runs of a schedule of some time up to now.
func (w *world) backfill(s domain.Schedule, back time.Duration) domain.ID {
	w.Helper()
	most, now := 100, time.Now().UTC()
	id, _, err := w.store.Backfill(w.Context(), s.ID, domain.BackfillRequest{
		From: now.Add(-back).Format(time.RFC3339), To: now.Format(time.RFC3339), MaxActive: &most, ExecutionPolicy: domain.OverlapAllow, Again: true,
	}, 90*24*time.Hour, "")
	if err != nil {
		w.Fatal(err)
	}
	return id
}

// newestPlaces are more places.
var newestPlaces = []place{
	{"beat: calendars", func(g *good) {
		g.calendar("good", calendar.Item{From: "2000-01-01"})
		for _, on := range []string{"skip", "next_allowed"} {
			g.put(domain.Definition{
				Name: "good by calendar, " + on, TaskName: "app.good", CronExpression: "* * * * * *", CronSeconds: true, Queue: queue,
				ExcludeCalendars: []string{"good"}, OnExcluded: on,
			})
			g.awaitFired("good by calendar, " + on)
		}
	}},
	{"beat: backfills", func(g *good) {
		s := g.put(domain.Definition{Name: "good backfilled", TaskName: "app.good", CronExpression: "0 * * * *", Queue: queue})
		id := g.backfill(s, 5*time.Hour)
		g.await("all of it are handed over", 5, `select count(*) from tactus.runs where kind = 'backfill' and slot = $1 and sent_at is not null`, id)
		var list struct{ Backfills []struct{ ID string } }
		if g.get("/schedules/"+s.ID.String()+"/backfills", &list); len(list.Backfills) != 1 {
			g.Errorf("%+v", list)
		}
	}},
	{"bulk", func(g *good) {
		for token := ""; ; {
			var done struct {
				Next string `json:"next_page_token"`
			}
			g.request(http.MethodPost, "/schedules/bulk", `{"action":"retag","add_tags":["seen"],"filter":{},"page_token":`+fmt.Sprintf("%q", token)+`}`, http.StatusOK, &done)
			if token = done.Next; token == "" {
				break
			}
		}
		for _, s := range []domain.Schedule{g.timed, g.stream, g.queued} {
			if kept, err := g.store.Get(g.Context(), s.ID); err != nil || fmt.Sprint(kept.Tags) != "[seen]" {
				g.Errorf("%s has the tags %v, %v", s.Name, kept.Tags, err)
			}
		}
	}},
	{"apply and export", func(g *good) {
		var same struct{ Outcome string }
		g.request(http.MethodPost, "/schedules/compare", `{"name":"good stream","task_name":"app.good","cron_expression":"0 0 2 1 *","stream":"jobs:good"}`, http.StatusOK, &same)
		if same.Outcome != "change" {
			g.Errorf("the good one's change is %s", same.Outcome)
		}
		g.calendar("exported", calendar.Item{From: "2000-01-01"})
		g.finds("exported", "/calendars?per_page=100")
		g.finds(g.timed.ID.String(), "/schedules?per_page=100&sort=next")
		g.finds(g.timed.ID.String(), "/schedules?per_page=100")
		g.finds("routes", "/routes?per_page=1000")
	}},
	{"API: runs and what is ahead", func(g *good) {
		id := g.timed.ID.String()
		g.finds(id, "/runs?page_size=1000&schedule="+id)
		g.finds(id, "/runs?page_size=1000&task_name=app.good")
		g.finds("runs", "/runs?page_size=1000")
		g.finds(g.timed.Name, "/upcoming?limit=1000&to="+url.QueryEscape(time.Now().Add(3*time.Second).UTC().Format(time.RFC3339)))
		g.finds("due", "/schedules/"+id+"/next")
	}},
	{"pages", func(g *good) {
		g.page("good", "/schedules?q=good")
		g.page("good", "/runs?schedule="+g.timed.ID.String())
		g.page(g.timed.ID.String(), "/schedules/"+g.timed.ID.String())
		for _, path := range []string{"/", "/schedules", "/runs", "/calendar", "/calendars", "/log", "/system", "/system/deadletters", "/system/routes"} {
			g.page("</html>", path)
		}
	}},
}

// finds asks the API for something in which a text is to be.
func (g *good) finds(text, path string) {
	g.Helper()
	var answer json.RawMessage
	if g.get(path, &answer); !strings.Contains(string(answer), text) {
		g.Errorf("%s: there is no %q: %.300s", path, text, answer)
	}
}

// page asks for a page in which a text is to be.
func (g *good) page(text, path string) {
	g.Helper()
	handler := pages.New(pages.Config{
		Store: g.store, Catalog: catalog.New(g.pool), Timezone: "UTC", Check: handover.Limits{}.Check, Log: g.log(),
		Keys: access.NewKeys(g.pool), Letters: g.box,
	})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequestWithContext(g.Context(), http.MethodGet, path, nil))
	if body := answer.Body.String(); answer.Code != http.StatusOK || !strings.Contains(body, text) {
		g.Errorf("page %s: %d, and %q is not in %d bytes", path, answer.Code, text, len(body))
	}
}

// badByHand has rows in which somebody has changed by hand what no statement of ours would write.
func badByHand(w *world) {
	for n, set := range []string{
		`skip_until = 'infinity'`, `skip_until = '290000-01-01'`, `paused_until = '290000-01-01', paused_at = 'infinity'`,
		`completed_at = '-infinity'`, `tags = '{NULL}'`, `tags = '{{a,b},{c,d}}'`, `anchor = 'infinity'`,
		`enabled = false, completed_at = '2020-01-01', version = 9223372036854775807, policy = '{"on_completed":"delete"}'`,
	} {
		s := w.badSchedule(fmt.Sprint("by hand ", n), nil)
		w.sql(`update tactus.schedules set `+set+` where id = $1`, s.ID)
	}
	for n, set := range []string{`created_at = '20000-01-01'`, `updated_at = 'infinity'`} {
		name := fmt.Sprint("by-hand-", n)
		w.calendar(name)
		w.sql(`update tactus.calendars set `+set+` where name = $1`, name)
	}
	s := w.badSchedule("backfilled by hand", nil)
	for _, set := range []string{
		`from_at = '20000-01-01'`, `to_at = 'infinity', created_at = '-infinity'`, `ended_at = 'infinity', outcome = 'cancelled'`,
	} {
		w.sql(`update tactus.backfills set `+set+` where id = $1`, w.backfill(s, 3*time.Second))
	}
	w.sql(`insert into tactus.routes (pattern, version, source, queue, ignore_result, updated_at)
		values ('by.hand', 1, 'a hand', 'bad', false, 'infinity')`)
	w.sql(`insert into tactus.deadletters (source, reference, reason, data, created_at)
		values ('celery', 'by hand', 'x', '{}', '-infinity'), ('celery', 'by hand too', 'x', '{}', '40000-01-01')`)
}
