package adopt_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

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
			u.adoptedLongAgo()
			s.NaiveTimezone = c.zone
			u.exec(`update tactus.schedules set effective_from = clock_timestamp() - interval '3 hours'`)
			u.exec(`insert into tactus.leases (name, holder, epoch, expires_at, watermark)
					values ('beat', 'a', 1, clock_timestamp(), clock_timestamp())`)
			for _, name := range []string{"daily, fired today", "in the middle"} {
				u.exec(`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at)
						select $2, s.id, n.now - interval '10 minutes', 'scheduled', 'succeeded', 1, n.now - interval '10 minutes'
						from tactus.schedules s, (select clock_timestamp() as now) n where s.name = $1`, name, outbox.NewID())
			}
			u.exec(`update tactus.schedules set created_at = clock_timestamp() - interval '3 hours', trigger_set_at = clock_timestamp() - interval '3 hours'`)
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

// misread are rows that a beat without zones reads as other times. Those that ran are written as by one with zones.
const misread = `
ago = lambda **kw: datetime.now(timezone.utc) - timedelta(**kw)
daily, often = IntervalSchedule.objects.create(every=1, period="days"), IntervalSchedule.objects.create(every=10, period="minutes")
at = ago(hours=20, minutes=10)
nightly = CrontabSchedule.objects.create(minute=str(at.minute), hour=str(at.hour), timezone="UTC")
make = PeriodicTask.objects.create
make(name="crontab", task="app.a", crontab=nightly, last_run_at=ago(hours=20, minutes=9))
make(name="interval", task="app.a", interval=daily, last_run_at=ago(hours=11))
make(name="never ran", task="app.a", interval=often)
make(name="tomorrow", task="app.a", clocked=ClockedSchedule.objects.create(clocked_time=ago(hours=-22)), one_off=True)
make(name="soon", task="app.a", clocked=ClockedSchedule.objects.create(clocked_time=ago(hours=-2)), one_off=True)
make(name="just now", task="app.a", clocked=ClockedSchedule.objects.create(clocked_time=ago(hours=2)), one_off=True)
make(name="expires", task="app.a", interval=often, expires=ago(days=-2))
make(name="expires, off", task="app.a", interval=often, expires=ago(days=-2), enabled=False)
`

// whenDueOrNow also tells of what the beat would send at once.
var whenDueOrNow = strings.NewReplacer("if not now:", "if True:", "seconds=seconds", "seconds=0 if now else seconds").Replace(whenDue)

// TestPreviewOfTimesWithoutZones compares the preview of such rows with what a real beat without zones says of them.
func TestPreviewOfTimesWithoutZones(t *testing.T) {
	t.Parallel()
	for zone, want := range map[string]map[string]string{
		"Asia/Shanghai": {
			"crontab": "[]", "interval": "[instants]", "never ran": "[]", "tomorrow": "[instants]", "soon": "[instants]",
			"just now": "[instants]", "expires": "[expires]", "expires, off": "[expires]",
		},
		"America/New_York": {
			"crontab": "[overdue]", "interval": "[instants]", "never ran": "[]", "tomorrow": "[instants]", "soon": "[instants]",
			"just now": "[past]", "expires": "[expires]", "expires, off": "[expires]",
		},
	} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			u := newDjango(t)
			u.django(misread)
			s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
			s.NaiveTimezone = zone
			rows, err := s.Preview(t.Context(), "UTC", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			var theirs map[string]time.Time
			if err := json.Unmarshal([]byte(u.django(fmt.Sprintf(withoutZones, zone, "True")+whenDueOrNow)), &theirs); err != nil {
				t.Fatal(err)
			}
			if len(rows) != len(want) || len(theirs) != len(want)-1 { // which leaves out what is disabled
				t.Fatalf("%d rows, the beat knows %d", len(rows), len(theirs))
			}
			for _, r := range rows {
				codes := []string{}
				for _, d := range r.Differences {
					codes = append(codes, d.Code)
				}
				if fmt.Sprint(codes) != want[r.Name] {
					t.Errorf("%s: %s, want %s: %+v", r.Name, codes, want[r.Name], r.Comparison)
				}
				if r.FromStart || r.Name == "expires, off" {
					continue
				}
				if r.NextCelery == nil || theirs[r.Name].Sub(*r.NextCelery).Abs() > 2*time.Minute {
					t.Errorf("%s: the beat sends it at %s, the preview says %s", r.Name, theirs[r.Name], r.NextCelery)
				}
			}
		})
	}
}

// TestAdoptionsKnowHowTimesAreRead has what adopt was told of a beat without zones be known when the rows go back, also
// when it is adopted again by somebody who does not say.
func TestAdoptionsKnowHowTimesAreRead(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.seed(`(name, task_name, cron_expression) values ('a', 'app.a', '* * * * *')`)
	known := func(want string) {
		t.Helper()
		found, err := adopt.FindAdopted(t.Context(), u.pool, s.Table, s.Kind)
		if err != nil || found.NaiveTimezone != want {
			t.Errorf("%q, %v, want %q", found.NaiveTimezone, err, want)
		}
		s = u.source(s.Table, s.Kind)
		if s.NaiveTimezone != want {
			t.Errorf("%q of the table, want %q", s.NaiveTimezone, want)
		}
	}
	u.adopt(s)
	known("")
	s.NaiveTimezone = "Asia/Shanghai"
	u.adopt(s)
	known("Asia/Shanghai")
	s.NaiveTimezone = ""
	u.adopt(s)
	known("Asia/Shanghai")
	u.exec(`drop table ` + s.Table)
	if found, err := adopt.FindAdopted(t.Context(), u.pool, s.Table, s.Kind); err != nil || found.NaiveTimezone != "Asia/Shanghai" {
		t.Errorf("%+v, %v", found, err)
	}
	u.exec(`update tactus.adoptions set naive_timezone = null`)
	if found, err := adopt.FindAdopted(t.Context(), u.pool, s.Table, s.Kind); err != nil || found.NaiveTimezone != "UTC" {
		t.Errorf("of a table that is gone: %+v, %v", found, err)
	}
}
