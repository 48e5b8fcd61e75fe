package adopt_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// evenings are crontabs that ran in the evening of New York, when the next day has begun in UTC, and one of UTC.
const evenings = `
ran = datetime(2026, 12, 2, 2, 0, 1, tzinfo=timezone.utc)
def make(name, zone, hour, **fields):
    PeriodicTask.objects.create(name=name, task="app.a", last_run_at=ran,
        crontab=CrontabSchedule.objects.create(minute="0", hour=hour, timezone=zone, **fields))
make("winter", "America/New_York", "21", month_of_year="11,12,1,2")
make("first week", "America/New_York", "21", day_of_month="1-7")
make("daily", "America/New_York", "21")
make("in UTC", "UTC", "2", month_of_year="11,12,1,2")
`

// whenDueThen asks the beat of django-celery-beat as if it were 21:30 of that evening.
const whenDueThen = `
import celery, json
from django_celery_beat.schedulers import DatabaseScheduler
app = celery.Celery("app", broker="memory://")
app.conf.timezone = "UTC"
then, due = datetime(2026, 12, 2, 2, 30, tzinfo=timezone.utc), {}
for name, entry in DatabaseScheduler(app=app).all_as_schedule().items():
    if name != "celery.backend_cleanup":
        entry.schedule.nowfun = lambda tz=entry.schedule.tz: then.astimezone(tz)
        now, seconds = entry.is_due()
        due[name] = (then + timedelta(seconds=0 if now else seconds)).isoformat()
print(json.dumps({"release": celery.__version__, "due": due}))
`

// TestPreviewOfCrontabsWestOfUTC has rows of which Celery before 5.3 leaves out days, and compares the preview with the
// real beat.
func TestPreviewOfCrontabsWestOfUTC(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(evenings)
	var theirs struct {
		Release oldbeat.Release
		Due     map[string]time.Time
	}
	if err := json.Unmarshal([]byte(u.django(whenDueThen)), &theirs); err != nil || len(theirs.Due) != 4 {
		t.Fatalf("%+v, %v", theirs, err)
	}
	then := time.Date(2026, 12, 2, 2, 30, 0, 0, time.UTC)
	for release, want := range map[oldbeat.Release]map[string]string{
		theirs.Release: {"winter": "[instants]", "first week": "[instants]", "daily": "[]", "in UTC": "[]"},
		"":             {"winter": "[instants]", "first week": "[instants]", "daily": "[]", "in UTC": "[]"},
		"5.3.0":        {"winter": "[]", "first week": "[]", "daily": "[]", "in UTC": "[]"},
	} {
		s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
		s.Celery = release
		rows, err := s.Preview(t.Context(), "UTC", then)
		if err != nil || len(rows) != len(want)+1 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for _, r := range rows {
			if r.Name == "celery.backend_cleanup" { // that beat has made it
				continue
			}
			codes := []string{}
			for _, d := range r.Differences {
				codes = append(codes, d.Code)
			}
			if fmt.Sprint(codes) != want[r.Name] {
				t.Errorf("of Celery %q: %s: %s, want %s: %+v", release, r.Name, codes, want[r.Name], r.Comparison)
			}
			if release == theirs.Release && (r.NextCelery == nil || !r.NextCelery.Equal(theirs.Due[r.Name])) {
				t.Errorf("%s: the beat sends it at %s, the preview says %v", r.Name, theirs.Due[r.Name], r.NextCelery)
			}
		}
	}
}
