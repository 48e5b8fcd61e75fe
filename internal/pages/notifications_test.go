package pages_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestNotificationRules makes a rule by the form, has what is wrong told beside its fields, edits, tests, pauses and
// deletes it. Its address is never shown again, and its secret once.
func TestNotificationRules(t *testing.T) {
	t.Parallel()
	s := serve(t)
	refuses := true
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if refuses {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	t.Cleanup(to.Close)
	courier := notify.NewCourier(s.pool, notify.NewPublisher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}),
		slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
	const list, rule = "/system/notifications", "/system/notifications/on-call"
	if page := s.get(t, list).body; !strings.Contains(page, "nobody is told anything") {
		t.Errorf("an empty list: %s", page)
	}
	form := url.Values{
		"name": {"on call"}, "names": {"night*, day"}, "tags": {"reports"}, "late_seconds": {"many"}, "to": {"webhook"}, "url": {"hooks"},
		"every_minutes": {"10"}, "headers": {"{"}, "on": {"failed", "late"}, "description": {`<b>"quoted"</b>`},
	}
	refused := s.do(t, "POST", list+"/new", form)
	if refused.status != http.StatusUnprocessableEntity || !strings.Contains(refused.body, `value="hooks"`) || !strings.Contains(refused.body, `value="late" checked`) {
		t.Errorf("%d, and what was typed is not kept: %s", refused.status, refused.body)
	}
	for _, field := range []string{"name", "late_seconds", "url", "headers"} {
		if strings.Contains(refused.body, `id="err-`+field+`"></p>`) || !strings.Contains(refused.body, `id="err-`+field+`"`) {
			t.Errorf("no fault beside %s", field)
		}
	}
	form.Set("name", "on-call")
	form.Set("late_seconds", "60")
	form.Set("url", to.URL+"/hush")
	form.Del("headers")
	made := s.do(t, "POST", list+"/new", form)
	if made.status != http.StatusCreated || !strings.Contains(made.body, "whsec_") {
		t.Fatalf("%d %s", made.status, made.body)
	}
	if again := s.do(t, "POST", list+"/new", form); again.status != http.StatusConflict || !strings.Contains(again.body, "there is a rule of this name") {
		t.Errorf("made twice: %d", again.status)
	}
	page := s.get(t, rule).body
	for _, want := range []string{"&lt;b&gt;&#34;quoted&#34;&lt;/b&gt;", `value="night*, day"`, `value="failed" checked`, to.URL + "/…"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q on its page: %s", want, page)
		}
	}
	form.Set("on", "failed")
	form.Set("url", to.URL+"/…")
	form.Set("version", "1")
	if saved := s.do(t, "POST", rule, form); saved.status != http.StatusSeeOther {
		t.Fatalf("%d %s", saved.status, saved.body)
	}
	form.Set("tags", "other")
	if stale := s.do(t, "POST", rule, form); stale.status != http.StatusPreconditionFailed || !strings.Contains(stale.body, `value="other"`) {
		t.Errorf("over a change of somebody else's: %d %s", stale.status, stale.body)
	}

	waiting := s.do(t, "POST", rule+"/test", nil).body
	if !strings.Contains(waiting, "being sent") {
		t.Errorf("without a relay: %s", waiting)
	}
	go courier.Run(t.Context())
	s.tested(t, "not delivered", "it answers 418")
	refuses = false
	s.tested(t, "delivered", "")
	for _, address := range []string{list, rule} {
		if page := s.get(t, address).body; strings.Contains(page, "hush") || strings.Contains(page, "whsec_") {
			t.Errorf("%s shows a secret: %s", address, page)
		}
	}
	paused := s.do(t, "POST", rule+"/pause", nil)
	if page := s.get(t, paused.header.Get("Location")).body; !strings.Contains(page, "Paused: it tells nobody.") || !strings.Contains(page, rule+"/resume") {
		t.Errorf("paused: %s", page)
	}
	s.do(t, "POST", rule+"/resume", nil)
	if rotated := s.do(t, "POST", rule+"/rotate", nil); !strings.Contains(rotated.body, "whsec_") {
		t.Errorf("no new secret: %s", rotated.body)
	}
	_, err := s.pool.Exec(t.Context(), `insert into tactus.deadletters (source, reference, reason, data)
		values ('notifications', 'on-call/1', 'it answers 410 <i>', '{}'), ('notifications', 'on-call-2/1', 'of another', '{}')`)
	if err != nil {
		t.Fatal(err)
	}
	if page := s.get(t, rule).body; !strings.Contains(page, "it answers 410 &lt;i&gt;") || strings.Contains(page, "of another") {
		t.Errorf("its dead letters: %s", page)
	}
	if page := s.get(t, "/system/deadletters?source=notifications").body; !strings.Contains(page, `href="`+rule+`"`) {
		t.Errorf("a dead letter does not lead to its rule: %s", page)
	}
	if kept, err := notify.NewStore(s.pool).Get(t.Context(), "on-call"); err != nil || !kept.Enabled || len(kept.On) != 1 || kept.EveryMinutes != 10 {
		t.Errorf("%+v, %v", kept, err)
	}
	s.do(t, "POST", rule+"/delete", nil)
	if status := s.do(t, "GET", rule, nil).status; status != http.StatusNotFound {
		t.Errorf("once it is deleted: %d", status)
	}
	japanese := s.do(t, "GET", list+"/new", nil, "Accept-Language", "ja").body
	if !strings.Contains(japanese, "予定時刻を逃した") || strings.Contains(japanese, "a due time was missed") {
		t.Errorf("in Japanese: %s", japanese)
	}
}

// tested sends a test until the courier has seen it, and looks for what came of it.
func (s site) tested(t *testing.T, outcome, why string) {
	t.Helper()
	testenv.Eventually(t, "that it is "+outcome, func() error {
		body := s.do(t, "POST", "/system/notifications/on-call/test", nil).body
		_, said, _ := strings.Cut(body, "The test:")
		said, _, _ = strings.Cut(said, "</div>")
		if !strings.Contains(said, outcome) || !strings.Contains(said, why) {
			return fmt.Errorf("it says %q", said)
		}
		return nil
	})
}
