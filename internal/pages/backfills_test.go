package pages_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestBackfillByForms asks what a backfill would run, starts it, and cancels it.
func TestBackfillByForms(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 * * * *"})
	self := "/schedules/" + made.ID.String()
	from := time.Now().UTC().Truncate(time.Hour).Add(-4*time.Hour + time.Minute).Format("2006-01-02 15:04")
	if page := s.get(t, self).body; strings.Contains(page, `id="backfilled"`) {
		t.Errorf("a schedule without backfills has a section of them: %s", page)
	}
	dry := s.do(t, http.MethodPost, self+"/backfill", url.Values{"from": {from}, "dry_run": {"1"}, "reason": {"wrong prices"}, "order": {"newest_first"}})
	for _, has := range []string{"4 would run, from that of", `value="wrong prices"`, `value="newest_first" selected`, `id="backfillwith" open`} {
		if dry.status != http.StatusOK || !strings.Contains(dry.body, has) {
			t.Errorf("%d, no %s: %s", dry.status, has, dry.body)
		}
	}
	back := s.post(t, self+"/backfill", url.Values{"from": {from}, "reason": {"wrong prices"}, "max_active": {"2"}}).header.Get("Location")
	page := s.get(t, back).body
	for _, has := range []string{`<progress value="0" max="4"`, "wrong prices", "running", "A backfill has begun"} {
		if !strings.Contains(page, has) {
			t.Errorf("no %s: %s", has, page)
		}
	}
	cancel := regexp.MustCompile(`action="(/schedules/[^"]+/cancel)"`).FindStringSubmatch(page)
	if cancel == nil {
		t.Fatal(page)
	}
	if page := s.get(t, s.post(t, cancel[1], nil).header.Get("Location")).body; !strings.Contains(page, "cancelled") || strings.Contains(page, cancel[1]) {
		t.Errorf("not cancelled: %s", page)
	}
	for form, has := range map[*url.Values]string{
		{"from": {"yesterday"}}:                        `err-backfill-from">✕`,
		{"from": {from}, "max_active": {"many"}}:       `err-backfill-max_active">✕`,
		{"from": {from}, "max_active": {"101"}}:        `err-backfill-max_active">✕`,
		{"from": {from}, "to": {"2099-01-01 00:00"}}:   `err-backfill-to">✕`,
		{"from": {from}, "execution_policy": {"skip"}}: `err-backfill-execution_policy">✕`,
	} {
		if a := s.do(t, http.MethodPost, self+"/backfill", *form); a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, has) {
			t.Errorf("%v: %d %s", form, a.status, a.body)
		}
	}
}
