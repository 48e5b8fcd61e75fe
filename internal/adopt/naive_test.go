package adopt_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/adopt"
	"github.com/tactus-dev/tactus/outbox"
)

// withoutZones are the settings of a Django project whose times have no zones (USE_TZ = False). Its beat takes what it
// reads, local times, for times in UTC.
const withoutZones = `
import os, time
from django.conf import settings
settings.USE_TZ, settings.TIME_ZONE, settings.DJANGO_CELERY_BEAT_TZ_AWARE = False, %q, %s
os.environ["TZ"] = settings.TIME_ZONE # as Django does for a module of settings
time.tzset()
`

// TestHandingBackWithoutZones goes back to a beat of Django whose times have no zones, east and west of UTC.
func TestHandingBackWithoutZones(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, aware string }{
		{"Asia/Shanghai", "False"}, {"Asia/Shanghai", "True"}, {"America/New_York", "False"},
	} {
		t.Run(c.zone+" "+c.aware, func(t *testing.T) {
			t.Parallel()
			u := newDjango(t)
			u.django(rowsToHandBack)
			if c.aware == "False" { // as that beat has written
				u.exec(`update django_celery_beat_periodictask
					set last_run_at = last_run_at at time zone 'UTC' at time zone $1`, c.zone)
			}
			s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
			u.adopt(s)
			s.NaiveTimezone = c.zone
			u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours'`)
			u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
					values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
			for _, name := range []string{"daily, fired today", "in the middle"} {
				u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
						select $2, s.id, n.now - interval '10 minutes', 'scheduled', 'succeeded', 1, n.now - interval '10 minutes'
						from tactus.schedules s, (select clock_timestamp() as now) n where s.name = $1`, name, outbox.NewID())
			}
			u.exec(`update tactus.schedules set created_at = clock_timestamp() - interval '3 hours'`)
			if _, _, err := s.Unadopt(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			got := u.django(fmt.Sprintf(withoutZones, c.zone, c.aware) + oldBeat)
			for _, want := range []string{`daily, fired today in 14[0-3]\d min 6`, `in the middle in (1\d|20) min 1`} {
				if !regexp.MustCompile(want).MatchString(got) {
					t.Errorf("the old beat says\n%s\nwant %s", strings.TrimSpace(got), want)
				}
			}
		})
	}
}
