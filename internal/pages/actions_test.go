package pages_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestPauseSkipAndRevertByForms posts the forms of a schedule's panels, and checks that the log says who did it and
// why.
func TestPauseSkipAndRevertByForms(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", Description: "first", CronExpression: "0 9 * * *", Timezone: "Asia/Tokyo"})
	self := "/schedules/" + made.ID.String()
	now := func() domain.Schedule {
		schedule, err := s.store.Get(t.Context(), made.ID)
		if err != nil {
			t.Fatal(err)
		}
		return schedule
	}
	s.post(t, self+"/disable", url.Values{"reason": {"vendor down"}, "until": {"2099-01-02 09:00"}})
	want := time.Date(2099, 1, 2, 0, 0, 0, 0, time.UTC) // nine in Tokyo
	if n := now(); n.IsEnabled() || n.PauseReason != "vendor down" || !n.PausedUntil.Equal(want) {
		t.Errorf("paused: %+v", n.Halt)
	}
	if page := s.get(t, self).body; !strings.Contains(page, "“vendor down”") || !strings.Contains(page, "until 2099-01-02 09:00 JST") {
		t.Errorf("neither the reason nor the end of the pause is told: %s", page)
	}
	if log := s.get(t, "/log").body; !strings.Contains(log, "“vendor down”") {
		t.Errorf("the log has no reason: %s", log)
	}
	s.post(t, self+"/enable", nil)
	due, _ := now().Next(time.Now())
	back := s.post(t, self+"/skip", url.Values{"count": {"2"}, "reason": {"stocktaking"}}).header.Get("Location")
	if n := now(); n.SkipReason != "stocktaking" || !n.SkipUntil.Equal(due.AddDate(0, 0, 1)) {
		t.Errorf("skipped: %+v", n.Halt)
	}
	if page := s.get(t, back).body; !strings.Contains(page, self+"/skip?count=0") {
		t.Errorf("no way back: %s", page)
	}
	if s.post(t, self+"/skip?count=0", url.Values{"undo": {"1"}}); !now().SkipUntil.IsZero() {
		t.Error("it still skips")
	}
	if _, err := s.store.Merge(t.Context(), made.ID, 0, []byte(`{"description":"second"}`)); err != nil {
		t.Fatal(err)
	}
	read := now()
	if page := s.get(t, self).body; !strings.Contains(page, `name="to" value="1"`) || strings.Contains(page, `name="to" value="`+version(read.Version)) {
		t.Errorf("former versions are not offered, or this one is: %s", page)
	}
	s.post(t, self+"/revert", url.Values{"to": {"1"}, "version": {version(read.Version)}})
	if n := now(); n.Description != "first" || n.Version != read.Version+1 {
		t.Errorf("%q in version %d", n.Description, n.Version)
	}
	if page := s.get(t, self).body; !strings.Contains(page, "“revert to version 1”") {
		t.Errorf("no reason of the revert: %s", page)
	}
	if a := s.do(t, http.MethodPost, self+"/revert", url.Values{"to": {"1"}, "version": {"2"}}); a.status != http.StatusPreconditionFailed {
		t.Errorf("a schedule that has changed since was reverted: %d", a.status)
	}
}

func version(n int64) string { return strconv.FormatInt(n, 10) }

// TestRefusedActionsStandBesideTheirFields posts invalid forms. The page shows each fault beside its field, with what
// was typed.
func TestRefusedActionsStandBesideTheirFields(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *", MaxRuns: 3})
	once := s.create(t, domain.Definition{Name: "once", TaskName: "app.t", RunAt: "2099-01-01T00:00:00Z"})
	for _, c := range []struct {
		of     domain.Schedule
		action string
		form   url.Values
		status int
		has    []string
	}{
		{made, "disable", url.Values{"reason": {"kept"}, "until": {"yesterday"}}, 422, []string{`err-pause-until">✕`, `value="kept"`, `value="yesterday"`}},
		{made, "disable", url.Values{"until": {"2001-01-01 00:00"}}, 422, []string{`err-pause-until">✕`}},
		{made, "disable", url.Values{"reason": {strings.Repeat("x", 1001)}}, 422, []string{`err-pause-reason">✕`}},
		{made, "skip", url.Values{"count": {"some"}}, 422, []string{`err-skip-count">✕`, `value="some"`}},
		{made, "skip", url.Values{"count": {"1001"}}, 422, []string{`err-skip-count">✕`}},
		{once, "skip", url.Values{"count": {"2"}}, 409, []string{`err-skip-count">✕`, "fewer than 2"}},
		{made, "revert", url.Values{"to": {"77"}}, 404, nil},
		{made, "revert", url.Values{"to": {"x"}}, 422, nil},
	} {
		self := "/schedules/" + c.of.ID.String()
		a := s.do(t, http.MethodPost, self+"/"+c.action, c.form)
		for _, has := range c.has {
			if !strings.Contains(a.body, has) || !strings.Contains(a.body, `data-hx-get="`+self+`"`) {
				t.Errorf("%s %v: no %s in %s", c.action, c.form, has, a.body)
			}
		}
		if now, err := s.store.Get(t.Context(), c.of.ID); a.status != c.status || err != nil || now.Version != 1 {
			t.Errorf("%s %v: %d, version %d, %v", c.action, c.form, a.status, now.Version, err)
		}
	}
}
