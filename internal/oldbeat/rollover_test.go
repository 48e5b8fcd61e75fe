package oldbeat_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// beatUnderAClock asks a real Celery when its beat sends each crontab next after a run. It looks again and again, as a
// beat does.
const beatUnderAClock = `
import json, sys
from datetime import datetime, timedelta, timezone
import celery
from celery.schedules import crontab
from celery.utils.time import timezone as zones

app, next = celery.Celery("app"), []
for fields, zone, ran in json.loads(sys.argv[1]):
    minute, hour, dom, month, dow = fields.split()
    tz = zones.get_timezone(zone)
    at = datetime.fromisoformat(ran)
    s = crontab(minute=minute, hour=hour, day_of_month=dom, month_of_year=month, day_of_week=dow, app=app,
                nowfun=lambda: at.astimezone(tz))
    s.tz = tz
    last = at.astimezone(tz)
    while True:
        due, seconds = s.is_due(last)
        if due:
            break
        early = 86400 if seconds > 2 * 86400 else 7200 if seconds > 3 * 3600 else max(seconds - 300, 0)
        at += timedelta(seconds=seconds - early)
    next.append(at.astimezone(timezone.utc).isoformat())
print(json.dumps({"release": celery.__version__, "next": next}))
`

// typed is a crontab, the zone it is in, and when it ran.
type typed struct{ fields, zone, ran string }

func (c typed) MarshalJSON() ([]byte, error) { return json.Marshal([]string{c.fields, c.zone, c.ran}) }

// TestCrontabsWestOfUTC compares what is said of crontabs that name days of the month or months with what a real Celery
// does after a run, in the morning and in the evening.
func TestCrontabsWestOfUTC(t *testing.T) {
	t.Parallel()
	ran := func(zoneName string, year, month, day, hour, minute int) string { // a second after its time
		location, err := zone.Load(zoneName)
		if err != nil {
			t.Fatal(err)
		}
		return time.Date(year, time.Month(month), day, hour, minute, 1, 0, location).UTC().Format("2006-01-02T15:04:05+00:00")
	}
	cases := []typed{
		{"0 21 * 11,12,1,2 *", "America/New_York", ran("America/New_York", 2026, 12, 1, 21, 0)},
		{"0 20 1-7 * *", "America/Los_Angeles", ran("America/Los_Angeles", 2026, 11, 2, 20, 0)},
		{"30 17,22 * 1,4,7,10,12 mon-fri", "America/New_York", ran("America/New_York", 2026, 12, 4, 22, 30)},
		{"0 21 31,1 * *", "America/New_York", ran("America/New_York", 2026, 12, 31, 21, 0)},
		{"0 21 * 11,12 *", "America/New_York", ran("America/New_York", 2026, 10, 31, 22, 15)},
		{"0 21 */1 * *", "America/New_York", ran("America/New_York", 2026, 11, 30, 21, 0)},
		{"0 21 * * *", "America/New_York", ran("America/New_York", 2026, 11, 30, 21, 0)},
		{"0 9 * 11,12 *", "America/New_York", ran("America/New_York", 2026, 11, 30, 9, 0)},
		{"0 21 * 11,12 *", "Asia/Tokyo", ran("Asia/Tokyo", 2026, 11, 3, 21, 0)},
		{"0 23 * 11,12 *", "UTC", ran("UTC", 2026, 11, 3, 23, 0)},
	}
	random := rand.New(rand.NewPCG(14, 5))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	for range 200 {
		name := pick("America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "America/St_Johns",
			"Pacific/Honolulu", "Asia/Tokyo", "UTC")
		cases = append(cases, typed{
			strings.Join([]string{
				pick("0", "30", "*/20"), pick("21", "8,22", "*", "17-23", "8"),
				pick("*", "1-7", "15,16", "*/2", "1,31", "28-31", "*/1"),
				pick("*", "11,12", "1,4,7,10", "*/2", "1-6"), pick("*", "1-5", "sun"),
			}, " "),
			name, ran(name, 2026, 1+random.IntN(12), 1+random.IntN(28), 23-min(random.IntN(24), random.IntN(24)),
				random.IntN(60)),
		})
	}
	asked, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Release oldbeat.Release
		Next    []time.Time
	}
	told := testenv.BesideCelery(t, "", beatUnderAClock, []string{string(asked)})
	if err := json.Unmarshal(told, &theirs); err != nil || len(theirs.Next) != len(cases) {
		t.Fatalf("%d of %d: %v", len(theirs.Next), len(cases), err)
	}
	skipping := 0
	for i, c := range cases {
		at, _ := time.Parse(time.RFC3339, c.ran)
		compare := func(release oldbeat.Release) oldbeat.Comparison {
			d, err := domain.Decode(fmt.Appendf(nil,
				`{"name": "n", "task_name": "a", "cron_expression": %q, "timezone": %q}`, c.fields, c.zone))
			if err == nil {
				d, _, err = d.Normalize(domain.Context{Now: at})
			}
			if err != nil {
				t.Fatalf("%v: %v", c, err)
			}
			got, err := oldbeat.Compare(domain.Schedule{Definition: d}, c.fields, release, at, at)
			if err != nil || got.NextCelery == nil || got.Next == nil {
				t.Fatalf("%v: %+v, %v", c, got, err)
			}
			return got
		}
		if got := compare(theirs.Release); got.NextCelery.Sub(theirs.Next[i]).Abs() > time.Minute {
			t.Errorf("%v: Celery sends it at %s, the comparison says %s", c, theirs.Next[i], got.NextCelery)
		} else if parts := !got.NextCelery.Equal(*got.Next); parts && got.NextCelery.Sub(*got.Next).Abs() > 2*time.Hour {
			skipping++
			for release, want := range map[oldbeat.Release]bool{
				theirs.Release: true, "": true, "4.4.7": true, "5.3.0b2": false, "5.6.3": false, "6.0": false,
			} {
				words := fmt.Sprint(compare(release).Differences)
				if told := strings.Contains(words, oldbeat.At(*got.NextCelery, c.zone)); told != want {
					t.Errorf("%v: told of release %q: %v, want %v: %s", c, release, told, want, words)
				}
			}
		}
	}
	if skipping < 10 {
		t.Errorf("only %d of %d leave out days", skipping, len(cases))
	}
}

// beatFrom has a real Celery's beat run each crontab from a moment on, and tells when it sends it within 40 days. What
// is overdue is sent at once, which is left out.
const beatFrom = `
import json, sys
from datetime import datetime, timedelta, timezone
import celery
from celery.schedules import crontab
from celery.utils.time import timezone as zones

app, all = celery.Celery("app"), []
for fields, zone, ran, now in json.loads(sys.argv[1]):
    minute, hour, dom, month, dow = fields.split()
    tz = zones.get_timezone(zone)
    begin = at = datetime.fromisoformat(now)
    s = crontab(minute=minute, hour=hour, day_of_month=dom, month_of_year=month, day_of_week=dow, app=app,
                nowfun=lambda: at.astimezone(tz))
    s.tz = tz
    last, sent = datetime.fromisoformat(ran) if ran else at, []
    while at < begin + timedelta(days=40) and len(sent) < 60:
        due, seconds = s.is_due(last.astimezone(tz))
        if due:
            if at > begin:
                sent.append(at.replace(second=0, microsecond=0).isoformat())
            last = at
            at += timedelta(seconds=1)
            continue
        early = 86400 if seconds > 2 * 86400 else 7200 if seconds > 3 * 3600 else 0
        at += timedelta(seconds=max(seconds - early, 1))
    all.append(sent)
print(json.dumps({"release": celery.__version__, "sent": all}))
`

// TestExamplesOfCrontabsWestOfUTC looks at crontabs at all hours of the day: what is told of them are the first times
// at which a real Celery's beat and tactus part, whenever the crontab ran last.
func TestExamplesOfCrontabsWestOfUTC(t *testing.T) {
	t.Parallel()
	type looked struct{ fields, zone, ran, now string }
	var cases []looked
	asked := [][]string{}
	for _, name := range []string{"America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "Pacific/Honolulu", "Asia/Tokyo"} {
		location, err := zone.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, fields := range []string{
			"0 21 * 11,12,1,2 *", "0 9,21 1-20 * *", "30 17,22 * 1,12 mon-fri", "0 */3 * 11,12,1 *", "0 8 1-20 * *",
		} {
			for hour := 1; hour < 24; hour += 2 {
				now := time.Date(2026, 12, 2, hour, 10, 0, 0, location).UTC()
				for _, ran := range []time.Duration{0, 90 * time.Minute, 12 * time.Hour, 30 * time.Hour} {
					c := looked{fields, name, "", now.Format(time.RFC3339)}
					if ran != 0 {
						c.ran = now.Add(-ran).Format(time.RFC3339)
					}
					cases = append(cases, c)
					asked = append(asked, []string{fields, name, strings.Replace(c.ran, "Z", "+00:00", 1), strings.Replace(c.now, "Z", "+00:00", 1)})
				}
			}
		}
	}
	argument, err := json.Marshal(asked)
	if err != nil {
		t.Fatal(err)
	}
	var theirs struct {
		Release oldbeat.Release
		Sent    [][]time.Time
	}
	if err := json.Unmarshal(testenv.BesideCelery(t, "", beatFrom, []string{string(argument)}), &theirs); err != nil || len(theirs.Sent) != len(cases) {
		t.Fatalf("%d of %d: %v", len(theirs.Sent), len(cases), err)
	}
	parting := 0
	for i, c := range cases {
		now, _ := time.Parse(time.RFC3339, c.now)
		ran, _ := time.Parse(time.RFC3339, c.ran)
		d := domain.Definition{Name: "n", TaskName: "a", CronExpression: c.fields, Timezone: c.zone}
		d, _, err := d.Normalize(domain.Context{Now: now})
		if err != nil {
			t.Fatal(err)
		}
		s := domain.Schedule{Definition: d}
		got, err := oldbeat.Compare(s, c.fields, theirs.Release, ran, now)
		if err != nil {
			t.Fatal(err)
		}
		said := fmt.Sprint(got.Differences)
		at := now
		for _, their := range theirs.Sent[i] {
			own, err := oldbeat.Next(s, at)
			if err != nil || own == nil {
				t.Fatalf("%v: %v", c, err)
			}
			if at = *own; own.Equal(their) {
				continue
			}
			parting++
			if want := fmt.Sprintf("sends it at %s, tactus at %s", oldbeat.At(their, c.zone), oldbeat.At(*own, c.zone)); !strings.Contains(said, want) {
				t.Errorf("%v: %s, want %s", c, said, want)
			}
			break
		}
	}
	if parting < 100 {
		t.Errorf("only %d of %d part", parting, len(cases))
	}
}
