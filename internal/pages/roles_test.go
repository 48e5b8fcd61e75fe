package pages_test

import (
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/pages"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestPagesHonourRoles checks that forbidden actions have no buttons and are refused, and that a principal with a scope
// sees no other schedules.
func TestPagesHonourRoles(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	check := handover.Limits{}.Check
	store := outbox.NewStore(pool, "UTC", check)
	handler := pages.New(pages.Config{Store: store, Catalog: catalog.New(pool), Timezone: "UTC", Check: check, Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Rules: notify.NewStore(pool)})
	asked, secrets, err := domain.DecodeNotificationRule("on-call", []byte(`{"on":["failed"],"to":"slack","url":"https://hooks.example.com/hush"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := notify.NewStore(pool).Put(t.Context(), asked, secrets, 0); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, name := range []string{"mine", "other"} {
		made, err := store.Create(t.Context(), domain.Definition{Name: name, Tags: []string{name}, TaskName: "app.t", CronExpression: "0 9 * * *"}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID.String())
	}
	reader := access.Principal{Kind: access.Key, Name: "r", Role: access.Read}
	writer := access.Principal{Kind: access.Key, Name: "w", Role: access.Write}
	confined := access.Principal{Kind: access.Key, Name: "c", Role: access.Write, Scope: access.Scope{"tag:mine"}}
	for _, c := range []struct {
		who           access.Principal
		method, path  string
		status        int
		has, lacks    string
		sentElsewhere string
	}{
		{reader, "GET", "/schedules/" + ids[0], 200, "mine", "Run now", ""},
		{reader, "GET", "/schedules", 200, "other", "/schedules/new", ""},
		{reader, "GET", "/schedules/new", 403, "", "", ""},
		{reader, "POST", "/schedules/" + ids[0] + "/run", 403, "", "", ""},
		{reader, "POST", "/schedules/" + ids[0] + "/delete", 403, "", "", ""},
		{writer, "GET", "/schedules/" + ids[0], 200, "Run now", "", ""},
		{reader, "GET", "/schedules", 200, "other", "/schedules/bulk", ""},
		{reader, "GET", "/schedules/bulk?action=delete&which=all", 403, "", "", ""},
		{reader, "POST", "/schedules/bulk?action=delete&which=all", 403, "", "", ""},
		{confined, "GET", "/schedules/bulk?action=delete&which=all", 200, "Delete 1 schedule?", ">other<", ""},
		{confined, "GET", "/schedules/bulk?action=delete&which=ticked&id=" + ids[1], 200, "No schedule is chosen", ">other<", ""},
		{writer, "GET", "/system", 200, "", "", ""},
		{confined, "GET", "/schedules", 200, "mine", ">other<", ""},
		{confined, "GET", "/log", 200, "mine", ">other<", ""},
		{confined, "GET", "/log", 200, "mine", "tactus replay", ""},
		{reader, "GET", "/log?type=schedule.created&schedule=" + ids[0], 200, " --schedule " + ids[0] + " --type schedule.created --stream tactus:replay:1", "", ""},
		{confined, "GET", "/", 200, "1 active", "", ""},
		{confined, "GET", "/schedules/" + ids[1], 404, "", "Run now", ""},
		{confined, "GET", "/system", 403, "", "", ""},
		{confined, "GET", "/system/deadletters", 403, "", "", ""},
		{reader, "GET", "/system/deadletters", 200, "Dead letters", `value="retry"`, ""},
		{writer, "GET", "/system", 200, "/system/deadletters", "/system/keys", ""},
		{confined, "GET", "/system/moving", 403, "", "", ""},
		{reader, "GET", "/system/moving?report=hour", 200, "Moving in", "", ""},
		{confined, "GET", "/system/routes", 200, "Routes", "/system/routes/edit", ""},
		{confined, "POST", "/system/routes/edit", 403, "", "", ""},
		{reader, "GET", "/system/routes/edit", 403, "", "", ""},
		{reader, "POST", "/system/routes/delete", 403, "", "", ""},
		{writer, "GET", "/system/routes/edit", 200, "New route", "", ""},
		{reader, "GET", "/system/notifications", 200, "on-call", "/system/notifications/new", ""},
		{confined, "GET", "/system/notifications/on-call", 200, "a run failed", "<form action=\"/system/notifications", ""},
		{reader, "GET", "/system/notifications/on-call", 200, "https://hooks.example.com/…", "hush", ""},
		{reader, "GET", "/system/notifications/new", 403, "", "", ""},
		{reader, "POST", "/system/notifications/on-call/test", 403, "", "", ""},
		{reader, "POST", "/system/notifications/on-call", 403, "", "", ""},
		{confined, "POST", "/system/notifications/new", 403, "", "", ""},
		{confined, "POST", "/system/notifications/on-call/delete", 403, "", "", ""},
		{writer, "GET", "/system/notifications/on-call", 200, "/system/notifications/on-call/test", "hush", ""},
		{access.Principal{}, "POST", "/system/notifications/on-call/delete", 401, "", "", ""},
		{writer, "GET", "/system/keys", 403, "", "", ""},
		{writer, "POST", "/system/keys", 403, "", "", ""},
		{confined, "GET", "/sessions", 200, "Your sessions", "", ""},
		{access.Principal{}, "POST", "/sessions", 401, "", "", ""},
		{access.Principal{}, "POST", "/system/keys", 401, "", "", ""},
		{writer, "POST", "/system/deadletters", 403, "", "", ""},
		{access.Principal{}, "GET", "/schedules?q=x", 303, "", "", "/login?next=%2Fschedules%3Fq%3Dx"},
		{access.Principal{}, "POST", "/schedules/" + ids[0] + "/run", 401, "", "", ""},
		{access.Principal{}, "GET", "/login", 200, "API key", "", ""},
	} {
		request := httptest.NewRequestWithContext(access.With(t.Context(), c.who), c.method, c.path, nil)
		request.Header.Set("Accept", "text/html")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.has) || c.lacks != "" && strings.Contains(w.Body.String(), c.lacks) || w.Header().Get("Location") != c.sentElsewhere {
			t.Errorf("%s: %s %s: %d %q, want %d with %q and without %q", c.who.Actor(), c.method, c.path, w.Code, w.Header().Get("Location"), c.status, c.has, c.lacks)
		}
	}
}

// TestPausedSaysWhy shows who paused a schedule, and why.
func TestPausedSaysWhy(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 9 * * *"})
	_, err := s.store.Disable(t.Context(), made.ID, 0, func(domain.Schedule, time.Time) (domain.Pause, error) {
		return domain.Pause{By: "ops<b>", Reason: "vendor <i>down</i>"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page := s.get(t, "/schedules/"+made.ID.String()).body
	for _, want := range []string{"by ops&lt;b&gt;", "because: vendor &lt;i&gt;down&lt;/i&gt;", "since "} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not said", want)
		}
	}
}
