package importer_test

import (
	"regexp"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestChangesOfClocksWithinAYear asks a real Celery about entries whose next instants are the same in both beats, until the clocks
// change: up to a year later.
func TestChangesOfClocksWithinAYear(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
from datetime import timedelta
import celery
from celery.schedules import crontab

app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.timezone = "America/New_York"
app.conf.beat_schedule = {
    "daily": {"task": "app.a", "schedule": crontab(minute=0, hour=0)},
    "hourly": {"task": "app.a", "schedule": crontab(minute=0)},
    "minutely": {"task": "app.a", "schedule": 60},
    "monthly": {"task": "app.a", "schedule": timedelta(days=30)},
    "relative": {"task": "app.a", "schedule": timedelta(hours=6), "relative": True},
    "skipped": {"task": "app.a", "schedule": crontab(minute=30, hour=2)},
    "yearly": {"task": "app.a", "schedule": timedelta(days=300)},
}
`))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := importer.New(testenv.Database(t), importer.Source{Kind: importer.Celery}, application.Timezone).Plan(t.Context(), application.In(""), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const (
		local    = `\d{4}-\d\d-\d\dT0`
		autumn   = local + `2:00:00-05:00 \(America/New_York\), tactus at ` + local + `1:00:00-05:00 \(America/New_York\): the clocks of America/New_York change then`
		interval = `: the clocks of America/New_York change then, which Celery's intervals follow`
	)
	want := map[string]string{
		"daily": `^$`, "skipped": `^$`,
		"hourly":   `Celery's beat sends it at ` + autumn,
		"minutely": `1m0s` + interval,
		"monthly":  `720h0m0s` + interval,
		"relative": `6h0m0s` + interval,
		"yearly":   `7200h0m0s` + interval,
	}
	for _, r := range rows {
		if !regexp.MustCompile(want[r.Name]).MatchString(r.Reason) || (r.Reason == "") != (r.Change == "new") {
			t.Errorf("%s: %s, %s", r.Name, r.Change, r.Reason)
		}
	}
}
