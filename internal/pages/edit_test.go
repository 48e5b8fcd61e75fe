package pages_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// fields returns what a browser would send of an untouched form.
func fields(t *testing.T, page string) url.Values {
	t.Helper()
	values := url.Values{}
	for _, tag := range regexp.MustCompile(`<input[^>]*>`).FindAllString(page, -1) {
		name, value := attribute(tag, "name"), attribute(tag, "value")
		ticked := strings.Contains(tag, `type="checkbox"`) || strings.Contains(tag, `type="radio"`)
		switch {
		case name == "" || name == "q" || name == "back" || ticked && !strings.Contains(tag, " checked"):
		case ticked && value == "":
			values.Set(name, "on")
		default:
			values.Set(name, value)
		}
	}
	for _, area := range regexp.MustCompile(`(?s)<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>`).FindAllStringSubmatch(page, -1) {
		values.Set(area[1], unescape(area[2]))
	}
	for _, choice := range regexp.MustCompile(`(?s)<select[^>]*name="([^"]+)".*?</select>`).FindAllStringSubmatch(page, -1) {
		if chosen := regexp.MustCompile(`value="([^"]*)" selected`).FindStringSubmatch(choice[0]); chosen != nil {
			values.Set(choice[1], chosen[1])
		}
	}
	return values
}

func attribute(tag, name string) string {
	found := regexp.MustCompile(` ` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if found == nil {
		return ""
	}
	return unescape(found[1])
}

// TestFormKeepsWhatItDoesNotShow saves an untouched form, and then one with a changed field.
func TestFormKeepsWhatItDoesNotShow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name, d := range map[string]domain.Definition{
		"cron": {CronExpression: "30 9 * * 1-5", Timezone: "Asia/Tokyo", Headers: map[string]json.RawMessage{"x": json.RawMessage(`"y"`)}, Kwargs: json.RawMessage(`{"a":{"b":1.50,"c":null},"<d>":2}`), Tags: []string{"a", "b"}},
		"secs": {CronExpression: "*/5 * * * * *", CronSeconds: true, Shadow: "s", IgnoreResult: true},
		"rate": {IntervalSeconds: 90, Queue: "q", JitterSeconds: 3, SpreadSeconds: 40, OnCompleted: "keep", ExpiresSeconds: 60, TimeLimitSeconds: 50, SoftTimeLimitSeconds: 40},
		"rule": {RRule: "DTSTART:20260105T093000\nRRULE:FREQ=WEEKLY;INTERVAL=2", Timezone: "Asia/Tokyo"},
		"gone": {RunAt: "2199-01-01T00:00:00Z", Description: "one\ntwo"},
	} {
		d.Name, d.TaskName = name, "app.t"
		made := s.create(t, d)
		address := "/schedules/" + made.ID.String() + "/edit"
		form := fields(t, s.get(t, address).body)
		s.post(t, address, form)
		now, err := s.store.Get(t.Context(), made.ID)
		if err != nil || now.Version != made.Version {
			t.Errorf("%s: nothing was changed, but it is version %d: %v", name, now.Version, err)
		}
		form.Set("description", "told")
		if name == "cron" {
			form.Set("kwargs", `{"<d>": 2}`)
		}
		s.post(t, address, form)
		if now, err = s.store.Get(t.Context(), made.ID); err != nil || now.Description != "told" || now.Shadow != made.Shadow || string(now.Headers["x"]) != string(made.Headers["x"]) || now.TriggerSetAt != made.TriggerSetAt {
			t.Errorf("%s: %+v, %v", name, now, err)
		}
		if name == "cron" && !strings.HasSuffix(string(now.Kwargs), `d\u003e":2}`) && string(now.Kwargs) != `{"<d>":2}` {
			t.Errorf("kwargs: %s", now.Kwargs)
		}
	}
}

// TestFormNamesEveryFault posts a form with many faults. The page shows each beside its field, with what was typed.
func TestFormNamesEveryFault(t *testing.T) {
	t.Parallel()
	s := serve(t)
	typed := url.Values{
		"name": {"n<b>"}, "when": {"cron"}, "cron_expression": {"61 * * * *"}, "timezone": {"Asia/Nowhere"}, "args": {`{"no": "list"}`},
		"kwargs": {"{\n\"a\": 1,\n}"}, "max_runs": {"many"}, "jitter_seconds": {"-1"}, "enabled": {"on"}, "task_name": {""},
	}
	a := s.do(t, http.MethodPost, "/schedules/new", typed)
	if a.status != http.StatusUnprocessableEntity {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, field := range []string{"cron_expression", "timezone", "args", "kwargs", "max_runs", "jitter_seconds", "task_name"} {
		if !regexp.MustCompile(`id="err-` + field + `">✕ [^<]+<`).MatchString(a.body) {
			t.Errorf("nothing is said beside %s", field)
		}
	}
	if !strings.Contains(a.body, "line 3:") {
		t.Error("it is not said where the JSON ends")
	}
	for when, field := range map[string]string{"": "cron_expression", "cron": "cron_expression", "every": "interval_seconds", "once": "run_at", "preset": "preset_name"} {
		a := s.do(t, http.MethodPost, "/schedules/new", url.Values{"name": {"n"}, "when": {when}, "task_name": {"a"}})
		if !strings.Contains(a.body, `id="err-`+field+`">✕ say when: fill this in, or choose another way <`) || strings.Contains(a.body, "give one of") {
			t.Errorf("no trigger of the kind %q: %d, and nothing is said beside %s", when, a.status, field)
		}
	}
	again := fields(t, a.body)
	for name := range typed {
		if strings.TrimSpace(again.Get(name)) != typed.Get(name) {
			t.Errorf("%s: %q was typed, and is %q", name, typed.Get(name), again.Get(name))
		}
	}
	for name, value := range map[string]string{"cron_expression": "1 * * * *", "timezone": "", "args": "[1]", "kwargs": `{"a": 1}`, "max_runs": "5", "jitter_seconds": "", "task_name": "app.t"} {
		again.Set(name, value)
	}
	first := s.post(t, "/schedules/new", again).header.Get("Location")
	if second := s.post(t, "/schedules/new", again).header.Get("Location"); second != first {
		t.Errorf("the same form made %s and %s", first, second)
	}
}

// TestTwoPeopleEdit saves a form after somebody else has changed the schedule.
func TestTwoPeopleEdit(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	address := "/schedules/" + made.ID.String() + "/edit"
	mine, theirs := fields(t, s.get(t, address).body), fields(t, s.get(t, address).body)
	theirs.Set("cron_expression", "0 10 * * *")
	s.post(t, address, theirs)
	mine.Set("cron_expression", "0 11 * * *")
	a := s.do(t, http.MethodPost, address, mine)
	if a.status != http.StatusPreconditionFailed || !regexp.MustCompile(`(?s)cron_expression</th><td>0 10 \* \* \*</td><td>0 11 \* \* \*</td>`).MatchString(a.body) {
		t.Fatalf("%d: both are not shown: %s", a.status, a.body)
	}
	s.post(t, address, fields(t, a.body))
	if now, err := s.store.Get(t.Context(), made.ID); err != nil || now.CronExpression != "0 11 * * *" || now.Version != 3 {
		t.Errorf("%+v, %v", now, err)
	}
}

// TestFormChoosesCalendars ticks calendars, chooses what happens to excluded due times, and unticks them again.
func TestFormChoosesCalendars(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, name := range []string{"holidays", "maintenance"} {
		if _, _, err := s.store.PutCalendar(t.Context(), domain.Calendar{Name: name, Days: []calendar.Item{}}, 0); err != nil {
			t.Fatal(err)
		}
	}
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	address := "/schedules/" + made.ID.String() + "/edit"
	form := fields(t, s.get(t, address).body)
	if form.Has("exclude_calendars") {
		t.Errorf("something is ticked: %v", form)
	}
	form["exclude_calendars"], form["misfire_grace_seconds"] = []string{"maintenance", "holidays"}, []string{"120"}
	form.Set("on_excluded", "next_allowed")
	form.Set("on_completed", "delete")
	form.Set("why", "nobody works then")
	s.post(t, address, form)
	now, err := s.store.Get(t.Context(), made.ID)
	if err != nil || strings.Join(now.ExcludeCalendars, " ") != "holidays maintenance" || now.OnExcluded != "next_allowed" || *now.MisfireGraceSeconds != 120 || now.OnCompleted != "delete" {
		t.Errorf("%+v %v", now, err)
	}
	if page := s.get(t, "/schedules/"+made.ID.String()).body; !strings.Contains(page, "nobody works then") {
		t.Error("the reason is not in the log")
	}
	page := s.get(t, address).body
	for _, name := range []string{"holidays", "maintenance"} {
		if !strings.Contains(page, `name="exclude_calendars" value="`+name+`" checked`) {
			t.Errorf("%s is not ticked", name)
		}
	}
	form = fields(t, page)
	delete(form, "exclude_calendars")
	form["only_calendars"] = []string{"holidays, nowhere"} // typed, as when there are too many for check boxes
	if a := s.do(t, http.MethodPost, address, form); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "nowhere") {
		t.Errorf("a calendar that there is none of: %d %s", a.status, a.body)
	}
	form["only_calendars"] = nil
	form.Set("on_excluded", "")
	s.post(t, address, form)
	if now, err = s.store.Get(t.Context(), made.ID); err != nil || len(now.ExcludeCalendars)+len(now.OnlyCalendars) > 0 {
		t.Errorf("%+v %v", now, err)
	}
}

// TestPreviewTellsWhileTyping asks for the preview of an incomplete form.
func TestPreviewTellsWhileTyping(t *testing.T) {
	t.Parallel()
	s := serve(t)
	a := s.do(t, http.MethodPost, "/preview", url.Values{"when": {"cron"}, "cron_expression": {"30 9 * * 1-5"}, "timezone": {"Asia/Tokyo"}})
	if a.status != http.StatusOK || !strings.Contains(a.body, "At 09:30, Monday to Friday, Asia/Tokyo") || strings.Count(a.body, "<time") < 10 {
		t.Errorf("%d %s", a.status, a.body)
	}
	a = s.do(t, http.MethodPost, "/preview", url.Values{"when": {"cron"}, "cron_expression": {"30 9 * * 1-9"}})
	if a.status != http.StatusOK || !regexp.MustCompile(`id="err-cron_expression">✕`).MatchString(a.body) {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestAdoptedIsChangedElsewhere checks that adopted schedules are changed only where they came from.
func TestAdoptedIsChangedElsewhere(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	if _, err := s.pool.Exec(t.Context(), `update tactus.schedules set managed_by = 'celery_periodictask'`); err != nil {
		t.Fatal(err)
	}
	self := "/schedules/" + made.ID.String()
	if a := s.do(t, http.MethodGet, self+"/edit", nil); a.status != http.StatusConflict || !strings.Contains(a.body, "celery_periodictask") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if page := s.get(t, self); strings.Contains(page.body, self+"/edit") || !strings.Contains(page.body, "adopted from celery_periodictask") {
		t.Errorf("it is offered to be edited: %s", page.body)
	}
}
