package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// status returns how many runs have a status.
func (s site) status(t *testing.T, status domain.RunStatus) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.runs where status = $1`, status).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestRunIsCancelledAndRunsAgain uses the buttons on the page of a run. Running it again keeps its task, also after the
// schedule has another.
func TestRunIsCancelledAndRunsAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.before", Queue: "q1", CronExpression: "0 9 * * *"})
	run, err := s.store.Trigger(t.Context(), made.ID)
	if err != nil {
		t.Fatal(err)
	}
	self := "/runs/" + run.String()
	page := s.get(t, s.post(t, self+"/cancel", nil).header.Get("Location")).body
	if s.status(t, domain.Revoked) != 1 || !strings.Contains(page, "Cancelled: it was not handed over") || strings.Contains(page, self+"/cancel") {
		t.Errorf("it is not cancelled: %s", page)
	}
	if page := s.get(t, s.post(t, self+"/cancel", nil).header.Get("Location")).body; !strings.Contains(page, "It had ended") {
		t.Errorf("cancelled twice: %s", page)
	}
	d := made.Definition
	d.TaskName, d.Queue = "app.after", "q2"
	if _, err := s.store.Redefine(t.Context(), made.ID, 0, d); err != nil {
		t.Fatal(err)
	}
	form := url.Values{"key": {regexp.MustCompile(`name="key" value="([^"]+)"`).FindStringSubmatch(page)[1]}}
	again := s.post(t, self+"/rerun", form).header.Get("Location")
	page = s.get(t, again).body
	for _, want := range []string{"This is the new run.", "<dd>app.before</dd>", "<dd>q1</dd>", `<a href="` + self + `">`} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s: %s", want, page)
		}
	}
	if twice := s.post(t, self+"/rerun", form).header.Get("Location"); twice != again {
		t.Errorf("the same form made %s and %s", again, twice)
	}
	for _, address := range []string{"/runs/x/cancel", "/runs/x/rerun", "/runs/" + made.ID.String() + "/cancel", "/runs/" + made.ID.String() + "/rerun"} {
		if a := s.do(t, http.MethodPost, address, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", address, a.status)
		}
	}
}

// TestSeveralRunsAtOnce cancels ticked runs and all of a list, and runs failed ones again, in more than one part.
func TestSeveralRunsAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	var ids []string
	for range 3 {
		run, err := s.store.Trigger(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, run.String())
	}
	if page := s.get(t, "/runs").body; !strings.Contains(page, `action="/runs/bulk"`) || !strings.Contains(page, `name="id" value="`+ids[0]+`"`) {
		t.Errorf("nothing can be ticked: %s", page)
	}
	page := s.get(t, "/runs/bulk?action=cancel&which=ticked&id="+ids[0]+"&id="+ids[1]).body
	if !strings.Contains(page, "Cancel 2 runs?") || s.status(t, domain.Revoked) != 0 {
		t.Fatalf("it is not asked first: %s", page)
	}
	posted := func(form url.Values, wants ...string) string {
		t.Helper()
		a := s.do(t, http.MethodPost, "/runs/bulk", form)
		for _, want := range wants {
			if a.status != http.StatusOK || !strings.Contains(a.body, want) {
				t.Fatalf("%d, no %q: %s", a.status, want, a.body)
			}
		}
		return a.body
	}
	chosen := fields(t, page)
	chosen["id"] = ids[:2]
	posted(chosen, "Cancelled, or their workers are told: 2 runs.")
	posted(chosen, "Refused: 2 runs.", "It had ended")
	if n := s.status(t, domain.Revoked); n != 2 {
		t.Errorf("%d are cancelled", n)
	}
	posted(fields(t, s.get(t, "/runs/bulk?action=cancel&which=all").body), "workers are told: 1 run.")
	if n := s.status(t, domain.Revoked); n != 3 {
		t.Errorf("%d are cancelled", n)
	}

	if _, err := s.pool.Exec(t.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, error)
		select gen_random_uuid(), $1, now() - n * interval '1 minute', 'scheduled', 'failed', 1, now(), 'E' from generate_series(1, 130) n`, made.ID); err != nil {
		t.Fatal(err)
	}
	if page := s.get(t, "/runs/bulk?action=rerun&which=all").body; !strings.Contains(page, "Choose a state in it first") || strings.Contains(page, `<form action="/runs/bulk"`) {
		t.Errorf("everything would run again: %s", page)
	}
	if a := s.do(t, http.MethodPost, "/runs/bulk", url.Values{"action": {"rerun"}, "which": {"all"}}); a.status != http.StatusUnprocessableEntity {
		t.Errorf("everything runs again: %d", a.status)
	}
	page = s.get(t, "/runs/bulk?action=rerun&which=all&state=failed").body
	if !strings.Contains(page, "Run 130 runs again?") || !strings.Contains(page, "and 110 more") {
		t.Errorf("it does not say how many: %s", page)
	}
	first := fields(t, page)
	page = posted(first, "Made: 100 new runs.", "data-go")
	posted(first, "Made: 100 new runs.") // posted twice, it makes no others
	posted(fields(t, page), "Made: 130 new runs.")
	if n := s.status(t, domain.Due); n != 130 {
		t.Errorf("%d runs were made", n)
	}
	for _, address := range []string{"/runs/bulk?action=drop&which=all", "/runs/bulk?action=cancel&id=x"} {
		if a := s.do(t, http.MethodGet, address, nil); a.status != http.StatusNotFound {
			t.Errorf("%s: %d", address, a.status)
		}
	}
	if page := s.get(t, "/runs/bulk?action=cancel").body; !strings.Contains(page, "No run is chosen") {
		t.Error(page)
	}
}
