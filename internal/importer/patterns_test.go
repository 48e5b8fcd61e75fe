package importer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

const overlappingApp = `
import celery

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.task_routes = [[
    ("feeds.*", {"queue": "feeds"}),
    ("feeds.slow.*", {"queue": "slow"}),
    ("billing.*.r", {"queue": "reports"}),
    ("billing.long.*", {"queue": "billing"}),
    ("mail.*", {"queue": "mail"}),
    ("mail.bulk*", {"queue": "mail"}),
]]

@app.task(name="feeds.slow.known")
def known():
    pass

@app.task(name="mail.x", expires=__import__("datetime").timedelta(minutes=2))
def unsendable():
    pass
`

// TestOverlappingPatterns has patterns that match the same names. Celery goes by the first of them, tactus by the
// longest.
func TestOverlappingPatterns(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, overlappingApp))
	if err != nil {
		t.Fatal(err)
	}
	if why := application.NotAsked["mail.x"]; !strings.HasPrefix(why, "TypeError") {
		t.Errorf("Celery cannot send mail.x, and that is told as %q", why)
	}
	const (
		refused = "it would not run as it did: "
		mend    = ": change it at its source, or accept the difference by --accept queue"
		partly  = "Celery sends billing.long.r by billing.*.r, which is listed first (queue reports), and tactus by " +
			"the longer billing.long.* (queue billing)"
	)
	pool := testenv.Database(t)
	plan := func(accept ...string) (told []string) {
		t.Helper()
		i := importer.New(pool, importer.Source{Kind: importer.Celery, Label: "app"}, "", accept...)
		rows, err := i.PlanRoutes(t.Context(), application)
		if err != nil {
			t.Fatal(err)
		}
		if err := i.ApplyRoutes(t.Context(), rows, false); err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			told = append(told, strings.TrimSpace(r.Change+" "+r.Pattern+" "+r.Queue+" "+r.Reason))
		}
		return told
	}
	want := []string{
		"new billing.*.r reports",
		"refused billing.long.* billing " + refused + partly + mend,
		"new feeds.* feeds",
		"new feeds.slow.* feeds", // by which Celery sends nothing
		"new mail.* mail",
		"new mail.bulk* mail",
		"new celery.backend_cleanup celery",
		"new feeds.slow.known feeds",
		"new * celery",
	}
	equal(t, plan(), want...)
	// Of names that the application does not have, those that are refused go by the pattern that Celery takes.
	routes, err := outbox.RoutesOf(t.Context(), pool, []string{"billing.long.r", "feeds.slow.new", "billing.long.new"})
	if err != nil || routes["billing.long.r"].Queue != "reports" || routes["feeds.slow.new"].Queue != "feeds" ||
		routes["billing.long.new"].Queue != "celery" {
		t.Errorf("%+v, %v", routes, err)
	}
	accepted := plan("queue")
	if !slices.Contains(accepted, "new billing.long.* billing") {
		t.Errorf("%q", accepted)
	}
	if told := plan(); !slices.Contains(told, "same billing.long.* billing") {
		t.Errorf("what was accepted does not stay: %q", told)
	}
}
