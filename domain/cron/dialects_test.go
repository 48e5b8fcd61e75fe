package cron_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
)

// TestDialects has expressions whose meaning Quartz (its CronTrigger tutorial, 2.5, and the API page of CronExpression)
// and AWS (EventBridge Scheduler's user guide, schedule types) document, with due times worked out by hand. 2026 begins
// on a Thursday.
func TestDialects(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect                      cron.Dialect
		expression, canonical, after string
		dues                         []string
	}{
		{cron.Quartz, "0 0 12 * * ?", "0 0 12 * * ?", "2026-01-01T00:00:00Z", []string{"2026-01-01T12:00:00Z", "2026-01-02T12:00:00Z"}},
		{cron.Quartz, "0 15 10 ? * *", "0 15 10 ? * *", "2026-01-01T00:00:00Z", []string{"2026-01-01T10:15:00Z", "2026-01-02T10:15:00Z"}},
		{cron.Quartz, "0 15 10 * * ? *", "0 15 10 * * ?", "2026-01-01T00:00:00Z", []string{"2026-01-01T10:15:00Z"}},
		{cron.Quartz, "0 15 10 * * ? 2027", "0 15 10 * * ? 2027", "2026-01-01T00:00:00Z", []string{"2027-01-01T10:15:00Z", "2027-01-02T10:15:00Z"}},
		{cron.Quartz, "0 0/5 14,18 * * ?", "0 0-59/5 14,18 * * ?", "2026-01-01T14:52:00Z", []string{"2026-01-01T14:55:00Z", "2026-01-01T18:00:00Z"}},
		{cron.Quartz, "0 10,44 14 ? 3 WED", "0 10,44 14 ? 3 4", "2026-01-01T00:00:00Z", []string{"2026-03-04T14:10:00Z", "2026-03-04T14:44:00Z", "2026-03-11T14:10:00Z"}},
		{cron.Quartz, "0 15 10 ? * MON-FRI", "0 15 10 ? * 2-6", "2026-01-01T11:00:00Z", []string{"2026-01-02T10:15:00Z", "2026-01-05T10:15:00Z"}},
		{cron.Quartz, "0 0 12 ? * 2-6", "0 0 12 ? * 2-6", "2026-01-02T13:00:00Z", []string{"2026-01-05T12:00:00Z", "2026-01-06T12:00:00Z"}},
		{cron.Quartz, "0 15 10 L * ?", "0 15 10 L * ?", "2026-02-01T00:00:00Z", []string{"2026-02-28T10:15:00Z", "2026-03-31T10:15:00Z"}},
		{cron.Quartz, "0 15 10 L-2 * ?", "0 15 10 L-2 * ?", "2026-02-01T00:00:00Z", []string{"2026-02-26T10:15:00Z", "2026-03-29T10:15:00Z"}},
		{cron.Quartz, "0 15 10 LW * ?", "0 15 10 LW * ?", "2026-02-01T00:00:00Z", []string{"2026-02-27T10:15:00Z", "2026-03-31T10:15:00Z"}},
		{cron.Quartz, "0 15 10 L-3W * ?", "0 15 10 L-3W * ?", "2026-02-01T00:00:00Z", []string{"2026-02-25T10:15:00Z", "2026-03-27T10:15:00Z"}},
		{cron.Quartz, "0 0 9 15W * ?", "0 0 9 15W * ?", "2026-02-01T00:00:00Z", []string{"2026-02-16T09:00:00Z", "2026-03-16T09:00:00Z", "2026-04-15T09:00:00Z"}},
		{cron.Quartz, "0 15 10 ? * 6L", "0 15 10 ? * 6L", "2026-01-01T00:00:00Z", []string{"2026-01-30T10:15:00Z", "2026-02-27T10:15:00Z"}},
		{cron.Quartz, "0 15 10 ? * 6L 2026-2027", "0 15 10 ? * 6L 2026-2027", "2027-12-01T00:00:00Z", []string{"2027-12-31T10:15:00Z", "never"}},
		{cron.Quartz, "0 15 10 ? * 6#3", "0 15 10 ? * 6#3", "2026-01-01T00:00:00Z", []string{"2026-01-16T10:15:00Z", "2026-02-20T10:15:00Z"}},
		{cron.Quartz, "0 15 10 ? * FRI#2,MonL", "0 15 10 ? * 6#2,2L", "2026-01-01T00:00:00Z", []string{"2026-01-09T10:15:00Z", "2026-01-26T10:15:00Z"}},
		{cron.Quartz, "0 0 12 ? * L", "0 0 12 ? * 7", "2026-01-01T00:00:00Z", []string{"2026-01-03T12:00:00Z", "2026-01-10T12:00:00Z"}},
		{cron.Quartz, "0 0 12 ? * 1", "0 0 12 ? * 1", "2026-01-01T00:00:00Z", []string{"2026-01-04T12:00:00Z"}},
		{cron.Quartz, "0 0 12 ? * FRI-MON", "0 0 12 ? * 6-2", "2026-01-01T00:00:00Z", []string{"2026-01-02T12:00:00Z", "2026-01-03T12:00:00Z", "2026-01-04T12:00:00Z", "2026-01-05T12:00:00Z", "2026-01-09T12:00:00Z"}},
		{cron.Quartz, "0 0 12 1/5 * ?", "0 0 12 1-31/5 * ?", "2026-01-30T00:00:00Z", []string{"2026-01-31T12:00:00Z", "2026-02-01T12:00:00Z", "2026-02-06T12:00:00Z"}},
		{cron.Quartz, "0 /35 9 * * ?", "0 */35 9 * * ?", "2026-01-01T00:00:00Z", []string{"2026-01-01T09:00:00Z", "2026-01-01T09:35:00Z", "2026-01-02T09:00:00Z"}},
		{cron.Quartz, "0 11 11 11 11 ?", "0 11 11 11 11 ?", "2026-01-01T00:00:00Z", []string{"2026-11-11T11:11:00Z", "2027-11-11T11:11:00Z"}},
		{cron.Quartz, "0/20 * 23-1 * * ?", "0-59/20 * 23-1 * * ?", "2026-01-01T01:59:30Z", []string{"2026-01-01T01:59:40Z", "2026-01-01T23:00:00Z"}},
		{cron.Quartz, "0 0 0 29 2 ? 2027/3", "0 0 0 29 2 ? 2027-2099/3", "2026-01-01T00:00:00Z", []string{"2036-02-29T00:00:00Z", "2048-02-29T00:00:00Z"}},
		{cron.Quartz, "0 0 0 1 1 ? 2090", "0 0 0 1 1 ? 2090", "2026-01-01T00:00:00Z", []string{"2090-01-01T00:00:00Z", "never"}},
		{cron.Quartz, "TZ=Asia/Tokyo 0 0 12 ? * MON", "0 0 12 ? * 2", "2026-01-01T00:00:00Z", []string{"2026-01-05T12:00:00Z"}},
		{cron.AWS, "cron(15 10 * * ? *)", "cron(15 10 * * ? *)", "2026-01-01T00:00:00Z", []string{"2026-01-01T10:15:00Z"}},
		{cron.AWS, "cron(0 18 ? * MON-FRI *)", "cron(0 18 ? * 2-6 *)", "2026-01-02T19:00:00Z", []string{"2026-01-05T18:00:00Z"}},
		{cron.AWS, "cron(0 8 1 * ? *)", "cron(0 8 1 * ? *)", "2026-01-02T00:00:00Z", []string{"2026-02-01T08:00:00Z"}},
		{cron.AWS, "cron(0/10 * ? * MON-FRI *)", "cron(0-59/10 * ? * 2-6 *)", "2026-01-02T23:45:00Z", []string{"2026-01-02T23:50:00Z", "2026-01-05T00:00:00Z"}},
		{cron.AWS, "cron(0/30 20-2 ? * MON-FRI *)", "cron(0-59/30 20-2 ? * 2-6 *)", "2026-01-02T02:00:00Z", []string{"2026-01-02T02:30:00Z", "2026-01-02T20:00:00Z"}},
		{cron.AWS, "cron(1/10 5 ? * * *)", "cron(1-59/10 5 ? * * *)", "2026-01-01T00:00:00Z", []string{"2026-01-01T05:01:00Z", "2026-01-01T05:11:00Z"}},
		{cron.AWS, "cron(0 10 ? * 6L 2026-2027)", "cron(0 10 ? * 6L 2026-2027)", "2027-11-27T00:00:00Z", []string{"2027-12-31T10:00:00Z", "never"}},
		{cron.AWS, "cron(0 10 ? * 3#2 *)", "cron(0 10 ? * 3#2 *)", "2026-01-01T00:00:00Z", []string{"2026-01-13T10:00:00Z"}},
		{cron.AWS, "cron(0 10 3W * ? *)", "cron(0 10 3W * ? *)", "2026-01-01T00:00:00Z", []string{"2026-01-02T10:00:00Z", "2026-02-03T10:00:00Z"}},
		{cron.AWS, "cron(0 10 ? * L *)", "cron(0 10 ? * 7 *)", "2026-01-01T00:00:00Z", []string{"2026-01-03T10:00:00Z"}},
		{cron.AWS, "0 10 L * ? 2199", "cron(0 10 L * ? 2199)", "2026-01-01T00:00:00Z", []string{"2199-01-31T10:00:00Z"}},
		{cron.AWS, " CRON( 0  12 * * ? * ) ", "cron(0 12 * * ? *)", "2026-01-01T00:00:00Z", []string{"2026-01-01T12:00:00Z"}},
	} {
		t.Run(string(c.dialect)+" "+c.expression, func(t *testing.T) {
			t.Parallel()
			spec, err := cron.Parse(c.expression, cron.Options{Dialect: c.dialect})
			if err != nil {
				t.Fatal(err)
			}
			again, err := cron.Parse(spec.String(), cron.Options{Dialect: c.dialect})
			if err != nil || spec.String() != c.canonical || again.String() != c.canonical {
				t.Errorf("canonical %q, read again as %q, %v; want %q", spec, again, err, c.canonical)
			}
			if len(spec.Warnings()) > 0 {
				t.Errorf("warnings: %v", spec.Warnings())
			}
			bothWays(t, again.In(time.UTC, "", ""), instant(t, c.after), c.dues)
		})
	}
}

// bothWays holds the due times after an instant against Next, and back to it against Prev.
func bothWays(t *testing.T, schedule cron.Schedule, after time.Time, want []string) {
	t.Helper()
	var dues []string
	at := after
	for range want {
		due, ok := schedule.Next(at)
		if !ok {
			dues = append(dues, "never")
			break
		}
		dues = append(dues, due.UTC().Format(time.RFC3339))
		at = due
	}
	if diff := cmp.Diff(want, dues); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	back := []string{}
	for before, ok := at.Add(1), true; ok; {
		if before, ok = schedule.Prev(before); ok && before.After(after) {
			back = append(back, before.UTC().Format(time.RFC3339))
			continue
		}
		break
	}
	slices.Reverse(back)
	if diff := cmp.Diff(slices.DeleteFunc(dues, func(d string) bool { return d == "never" }), back); diff != "" {
		t.Errorf("Next and Prev:\n%s", diff)
	}
}

func TestAWSRateAndAt(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]time.Duration{
		"rate(1 minute)": time.Minute, "rate(5 minutes)": 5 * time.Minute, "rate(1 hours)": time.Hour, "Rate( 7 days )": 7 * 24 * time.Hour,
	} {
		spec, err := cron.Parse(expression, cron.Options{Dialect: cron.AWS})
		if every, ok := spec.Every(); err != nil || !ok || every != want {
			t.Errorf("%s: %s, %v, %v", expression, every, ok, err)
		}
		if again, err := cron.Parse(spec.String(), cron.Options{Dialect: cron.AWS}); err != nil || again.String() != spec.String() {
			t.Errorf("%s: %s, read again as %s, %v", expression, spec, again, err)
		}
	}
	spec, err := cron.Parse("TZ=Asia/Tokyo at(2026-11-20T13:00:00)", cron.Options{Dialect: cron.AWS})
	if at, ok := spec.At(); err != nil || !ok || at != "2026-11-20T13:00:00" || spec.Zone() != "Asia/Tokyo" || spec.String() != "at(2026-11-20T13:00:00)" {
		t.Errorf("%s, %v, %s, %s, %v", at, ok, spec.Zone(), spec, err)
	}
	if due, ok := spec.In(time.UTC, "", "").Next(time.Unix(0, 0)); ok {
		t.Errorf("a local time without a zone is due at %s", due)
	}
}

func TestDialectErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		dialect    cron.Dialect
		seconds    bool
		expression string
		field      string
		position   int
		hint       string // a part of it
	}{
		{cron.Quartz, false, "0 0 12 * * *", "day-of-week", 11, "write ? in one of"},
		{cron.Quartz, false, "0 0 12 1 * MON", "day-of-week", 11, "write ? in one of"},
		{cron.Quartz, false, "0 0 12 ? * ?", "day-of-week", 11, "write ? in one of"},
		{cron.Quartz, false, "0 12 * * ?", "", 0, "want 6 or 7 fields"},
		{cron.Quartz, false, "0 0 12 * * ? * *", "", 15, "want 6 or 7 fields"},
		{cron.Quartz, false, "0 0 12 ? * 0", "day-of-week", 11, "1 is Sunday"},
		{cron.Quartz, false, "0 0 12 ? * 8", "day-of-week", 11, "1 is Sunday"},
		{cron.Quartz, false, "0 0 12 ? * 0L", "day-of-week", 11, "1 is Sunday"},
		{cron.Quartz, false, "0 ? 12 * * ?", "minute", 2, "? stands alone, in day-of-month or day-of-week only"},
		{cron.Quartz, false, "0 0 12 1,? * ?", "day-of-month", 9, "? stands alone"},
		{cron.Quartz, false, "0 0 12 5C * ?", "day-of-month", 7, "C asks a calendar"},
		{cron.Quartz, false, "0 0 12 ? * 1C", "day-of-week", 11, "C asks a calendar"},
		{cron.Quartz, false, "0 0 12 * * ? 1969", "year", 13, "1970-2099"},
		{cron.Quartz, false, "0 0 12 * * ? 2100", "year", 13, "1970-2099"},
		{cron.Quartz, false, "0 0 12 * * ? 26", "year", 13, "1970-2099"},
		{cron.Quartz, false, "0 0 12 * * ? 2030-2027", "year", 13, "years do not go round"},
		{cron.Quartz, false, "0 0 12 * * ? ?", "year", 13, "? stands alone"},
		{cron.Quartz, false, "0 0 0 29 2 ? 2027", "", 0, "no such date in these years"},
		{cron.Quartz, false, "@daily", "", 0, "Quartz has no such names"},
		{cron.AWS, false, "cron(0 12 * * ?)", "", 5, "want 6 fields (minute"},
		{cron.AWS, false, "cron(0 12 * * ? 2200)", "year", 16, "1970-2199"},
		{cron.AWS, false, "cron(0 12 * * * *)", "day-of-week", 14, "write ? in one of"},
		{cron.AWS, false, "cron(0 12 * * ? *", "", 0, "there is no ) at the end"},
		{cron.AWS, false, "date(0 12 * * ? *)", "", 0, "want cron(...), rate(...) or at(...)"},
		{cron.AWS, false, "rate(0 minutes)", "rate", 5, "a whole number from 1"},
		{cron.AWS, false, "rate(5 fortnights)", "rate", 5, "a whole number from 1"},
		{cron.AWS, false, "rate(1.5 hours)", "rate", 5, "a whole number from 1"},
		{cron.AWS, false, "at(2026-02-30T00:00:00)", "at", 3, "a local time such as"},
		{cron.AWS, false, "at(2026-11-20T13:00:00Z)", "at", 3, "a local time such as"},
		{cron.AWS, false, "@daily", "", 0, "want 6 fields (minute"},
		{cron.AWS, true, "cron(0 12 * * ? *)", "dialect", 0, "aws has no seconds"},
		// What was written for others, under the dialects of cron.
		{cron.Celery, false, "0 12 * * ? 2026", "", 11, "looks like a year, which dialect aws has"},
		{cron.Vixie, false, "0 12 * * ? 2026-2030", "", 11, "looks like a year, which dialect aws has"},
		{cron.Celery, false, "0 0 12 * * ? 2026", "", 11, "looks like a year, which dialect quartz has"},
		{cron.Celery, true, "0 0 12 * * ? *", "", 13, "looks like a year, which dialect quartz has"},
		{cron.Celery, false, "0 0 12 ? * 2-6", "", 11, "six fields and a ? are of dialect quartz"},
		{cron.Celery, false, "cron(0 12 * * ? *)", "", 16, "take dialect aws"},
		{cron.Celery, false, "rate(5 minutes)", "", 0, "take dialect aws"},
		{"jenkins", false, "0 12 * * *", "dialect", 0, "celery, vixie, quartz or aws"},
	} {
		_, err := cron.Parse(c.expression, cron.Options{Dialect: c.dialect, Seconds: c.seconds})
		e, ok := errors.AsType[*cron.Error](err)
		if want := (cron.Error{Field: c.field, Position: c.position}); !ok || e.Field != want.Field || e.Position != want.Position || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("%s %q: %v, want %q at byte %d with %q", c.dialect, c.expression, err, c.field, c.position, c.hint)
		}
	}
}
