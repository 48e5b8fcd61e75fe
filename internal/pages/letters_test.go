package pages_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
)

// TestDeadLetters puts one dead letter back and drops another. The page shows the outcome of each, also of one that is
// gone.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 0 1 1 *"})
	var ids []string
	for _, reason := range []string{"refused <b>", "refused again"} {
		run, err := s.store.Trigger(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		var id string
		err = s.pool.QueryRow(t.Context(), `
			with failed as (update tactus.runs set status = 'failed', error = 'it could not be handed over: ' || $2 where id = $1)
			insert into tactus.deadletters (source, reference, reason, data) values ('celery', $1::text || '/1', $2, '{"x":"<i>"}') returning id::text`, run, reason).Scan(&id)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	const address = "/system/deadletters"
	page := s.get(t, address).body
	for _, want := range []string{"refused &lt;b&gt;", "refused again", `value="retry"`, "/runs/"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	if page := s.get(t, "/system").body; !strings.Contains(page, "2 set aside") {
		t.Error("the system does not tell of them")
	}
	post := func(action string, ids ...string) string {
		t.Helper()
		a := s.do(t, "POST", address, url.Values{"action": {action}, "id": ids})
		if a.status != 200 {
			t.Fatalf("%s %v: %d %s", action, ids, a.status, a.body)
		}
		return a.body
	}
	if said := post("retry", ids[0]); !strings.Contains(said, "1 of 1 put back.") || strings.Contains(said, `id="a-`+ids[0]+`"`) {
		t.Errorf("it is still there: %s", said)
	}
	var status string
	if err := s.pool.QueryRow(t.Context(), `select status from tactus.runs where error is null`).Scan(&status); err != nil || status != "due" {
		t.Errorf("the run is %s: %v", status, err)
	}
	if said := post("drop", ids...); !strings.Contains(said, "1 of 2 dropped.") || !strings.Contains(said, "Nothing is set aside.") {
		t.Errorf("the other is still there: %s", said)
	}
	if said := post("retry"); !strings.Contains(said, "Nothing is ticked.") {
		t.Error(said)
	}
	if a := s.do(t, "POST", address, url.Values{"action": {"retry"}, "id": {"x'"}}); a.status != 404 {
		t.Errorf("an id that is none: %d", a.status)
	}
}
