package pages_test

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// hidden returns the hidden fields of the form on a page that posts to an address.
func hidden(t *testing.T, page, action string) url.Values {
	t.Helper()
	form := regexp.MustCompile(`(?s)<form [^>]*action="` + regexp.QuoteMeta(action) + `" method="post".*?</form>`).FindString(page)
	if form == "" {
		t.Fatalf("no form for %s in %s", action, page)
	}
	values := url.Values{}
	for _, tag := range regexp.MustCompile(`<input[^>]*>`).FindAllString(form, -1) {
		values.Add(attribute(tag, "name"), attribute(tag, "value"))
	}
	return values
}

// TestSeveralAtOnce posts the forms of the action bar, for ticked schedules and for all of the list.
func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var ids []string
	for n := range 130 { // more than one step changes
		made := s.create(t, domain.Definition{Name: fmt.Sprintf("n%03d", n), TaskName: "app.t", Tags: []string{"many"}, CronExpression: "0 9 * * *"})
		ids = append(ids, made.ID.String())
	}
	s.create(t, domain.Definition{Name: "other", TaskName: "app.t", CronExpression: "0 9 * * *"})
	counted := func(condition string) (n int) {
		t.Helper()
		if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.schedules where deleted_at is null and `+condition).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}

	asked := s.get(t, "/schedules/bulk?action=disable&which=all&tag=many").body
	if !strings.Contains(asked, "Pause 130 schedules?") || !strings.Contains(asked, "and 110 more") {
		t.Fatalf("it is not said how many: %s", asked)
	}
	form := hidden(t, asked, "/schedules/bulk")
	form.Set("until", "yesterday")
	if a := s.do(t, http.MethodPost, "/schedules/bulk", form); a.status != http.StatusUnprocessableEntity || !regexp.MustCompile(`id="err-until">✕ [^<]+<`).MatchString(a.body) || counted("not enabled") > 0 {
		t.Fatalf("a time that cannot be read: %d %s", a.status, a.body)
	}
	form.Set("until", "")
	form.Set("reason", "vendor down")
	half := s.do(t, http.MethodPost, "/schedules/bulk", form)
	if half.status != http.StatusOK || !strings.Contains(half.body, "Paused: 100 schedules.") || counted("not enabled") != 100 {
		t.Fatalf("the first hundred: %d %s", half.status, half.body)
	}
	back := s.post(t, "/schedules/bulk", hidden(t, half.body, "/schedules/bulk")).header.Get("Location")
	if n := counted("not enabled and pause_reason = 'vendor down' and 'many' = any (tags)"); n != 130 || counted("not enabled") != 130 {
		t.Errorf("%d are paused for the reason", n)
	}
	page := s.get(t, back).body
	if !strings.Contains(page, "Paused: 130 schedules.") || !strings.Contains(page, "Enable these again") {
		t.Errorf("%s: no way back: %s", back, page)
	}
	undo := regexp.MustCompile(`action="(/schedules/bulk\?[^"]+)"`).FindStringSubmatch(page)
	half = s.do(t, http.MethodPost, unescape(undo[1]), url.Values{"undo": {"1"}})
	s.post(t, "/schedules/bulk", hidden(t, half.body, "/schedules/bulk"))
	if n := counted("enabled"); n != 131 {
		t.Errorf("%d are enabled again", n)
	}

	ticked := url.Values{"which": {"ticked"}, "id": ids[:2]}
	for _, c := range []struct {
		action, asks, add, remove, condition string
		want                                 int
	}{
		{"disable", "Pause 2 schedules?", "", "", "not enabled", 2},
		{"enable", "Enable 2 schedules?", "", "", "not enabled", 0},
		{"retag", "Change the tags of 2 schedules?", "a, b", "many", "tags = '{a,b}'", 2},
		{"trigger", "Run 2 schedules now?", "", "", "exists (select from tactus.runs r where r.schedule_id = schedules.id and r.kind = 'manual')", 2},
		{"delete", "Delete 2 schedules?", "", "", "true", 129},
	} {
		ticked.Set("action", c.action)
		asked := s.get(t, "/schedules/bulk?"+ticked.Encode()).body
		if !strings.Contains(asked, c.asks) || !strings.Contains(asked, ">n000<") {
			t.Fatalf("%s: it is not asked for two: %s", c.action, asked)
		}
		form := hidden(t, asked, "/schedules/bulk")
		form.Set("add", c.add)
		form.Set("remove", c.remove)
		s.post(t, "/schedules/bulk", form)
		if c.action == "trigger" {
			s.post(t, "/schedules/bulk", form) // the second post runs nothing
		}
		if n := counted(c.condition); n != c.want {
			t.Errorf("%s: %d, want %d", c.action, n, c.want)
		}
	}
	var runs int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.runs`).Scan(&runs); err != nil || runs != 2 {
		t.Errorf("%d runs of a form that was sent twice: %v", runs, err)
	}
	if page := s.get(t, "/schedules/bulk?action=delete&which=ticked").body; !strings.Contains(page, "No schedule is chosen") || strings.Contains(page, `method="post" class="fields"`) {
		t.Errorf("it asks about nothing: %s", page)
	}
	gone := hidden(t, s.get(t, "/schedules/bulk?"+url.Values{"action": {"trigger"}, "id": ids[2:3]}.Encode()).body, "/schedules/bulk")
	gone.Add("id", ids[0])
	if a := s.do(t, http.MethodPost, "/schedules/bulk", gone); a.status != http.StatusOK || !strings.Contains(a.body, "Refused: 1 schedule.") || !strings.Contains(a.body, ids[0]+": ") {
		t.Errorf("one that is deleted is not told of: %d %s", a.status, a.body)
	}
}

// TestUndoAsksAboutWhatItEnables undoes a bulk pause while other schedules are paused, too, also by a link with a
// narrower filter.
func TestUndoAsksAboutWhatItEnables(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, name := range []string{"mine-1", "mine-2", "other-1", "other-2", "other-3"} {
		tag, _, _ := strings.Cut(name, "-")
		s.create(t, domain.Definition{Name: name, TaskName: "app.t", Tags: []string{tag}, CronExpression: "0 9 * * *"})
	}
	pause := func(tag string) (undo string) {
		t.Helper()
		form := hidden(t, s.get(t, "/schedules/bulk?action=disable&which=all&tag="+tag).body, "/schedules/bulk")
		page := s.get(t, s.post(t, "/schedules/bulk", form).header.Get("Location")).body
		return unescape(regexp.MustCompile(`action="(/schedules/bulk\?[^"]+)"`).FindStringSubmatch(page)[1])
	}
	pause("other")
	undo := pause("mine")
	enabled := func() (names string) {
		t.Helper()
		const sql = `select coalesce(string_agg(name, ' ' order by name), '') from tactus.schedules where enabled and deleted_at is null`
		if err := s.pool.QueryRow(t.Context(), sql).Scan(&names); err != nil {
			t.Fatal(err)
		}
		return names
	}
	for _, address := range []string{undo, undo + "&q=other-2"} {
		asked := s.get(t, address).body
		if !strings.Contains(asked, "Enable 2 schedules?") || !strings.Contains(asked, ">mine-1<") || strings.Contains(asked, ">other-") {
			t.Errorf("%s asks about others: %s", address, asked)
		}
	}
	s.post(t, "/schedules/bulk", hidden(t, s.get(t, undo).body, "/schedules/bulk"))
	if got := enabled(); got != "mine-1 mine-2" {
		t.Errorf("enabled are %s", got)
	}

	none := url.Values{"action": {"delete"}, "which": {"ticked"}}
	if a := s.do(t, http.MethodPost, "/schedules/bulk", none); a.status != http.StatusUnprocessableEntity || enabled() != "mine-1 mine-2" {
		t.Errorf("with nothing ticked: %d, left are %q", a.status, enabled())
	}
}
