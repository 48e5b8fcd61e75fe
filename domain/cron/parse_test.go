package cron_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain/cron"
)

func TestParseErrors(t *testing.T) {
	t.Parallel()
	const (
		fields   = "want 5 fields (minute hour day-of-month month day-of-week), got "
		nickname = "@yearly, @monthly, @weekly, @daily, @hourly, or @every and a duration"
		date     = "1-31, L, L-n, LW or nW"
		never    = "there is no such date within 40 years"
		step     = "a step is a whole number, 1 to 999"
	)
	for _, c := range []struct {
		expression, field, text string
		position                int
		hint                    string
	}{
		{"", "", "", 0, fields + "0"},
		{"* * * *", "", "* * * *", 0, fields + "4"},
		{"TZ=UTC  0  9 * *", "", "0 9 * *", 8, fields + "4"},
		{"* * * * * *", "", "*", 10, fields + "6; for leading seconds ask for six fields"},
		{"60 * * * *", "minute", "60", 0, "0-59"},
		{"1.5 * * * *", "minute", "1.5", 0, "0-59"},
		{"+1 * * * *", "minute", "+1", 0, "0-59"},
		{"-1 * * * *", "minute", "", 0, "0-59"},
		{"1- * * * *", "minute", "", 2, "0-59"},
		{"5-70 * * * *", "minute", "70", 2, "0-59"},
		{"1,,2 * * * *", "minute", "", 2, "an empty item: 0-59"},
		{"1,2, * * * *", "minute", "", 4, "an empty item: 0-59"},
		{"9999999999999999999999 * * * *", "minute", "9999999999999999999999", 0, "0-59"},
		{"１ * * * *", "minute", "１", 0, "0-59"},
		{"*/0 * * * *", "minute", "0", 2, step},
		{"*/x * * * *", "minute", "x", 2, step},
		{"1/2/3 * * * *", "minute", "2/3", 2, step},
		{"*/1000 * * * *", "minute", "1000", 2, step},
		{"* 24 * * *", "hour", "24", 2, "0-23"},
		{"  0  25 * * *", "hour", "25", 5, "0-23"},
		{"* * 0 * *", "day-of-month", "0", 4, date},
		{"* * 32 * *", "day-of-month", "32", 4, date},
		{"* * LWx * *", "day-of-month", "LWx", 4, date},
		{"* * L-31 * *", "day-of-month", "L-31", 4, "L-n counts 0 to 30 days before the last of the month; L-nW is the weekday nearest to that"},
		{"* * 1,32W * *", "day-of-month", "32W", 6, "nW is the weekday nearest to day n, 1 to 31"},
		{"* * 1-5W * *", "day-of-month", "1-5W", 4, "nW is the weekday nearest to day n, 1 to 31"},
		{"* * * 13 *", "month", "13", 6, "1-12 or jan-dec"},
		{"* * * 0 *", "month", "0", 6, "1-12 or jan-dec"},
		{"* * * jan-foo *", "month", "foo", 10, "1-12 or jan-dec"},
		{"* * * * 8", "day-of-week", "8", 8, "0-7 or sun-sat"},
		{"* * * * funday", "day-of-week", "funday", 8, "0-7 or sun-sat"},
		{"* * * * Mon,Thurs", "day-of-week", "Thurs", 12, "0-7 or sun-sat"},
		{"* * * * L", "day-of-week", "L", 8, "the last which day? 5L is the last Friday; for Saturday write 6"},
		{"* * * * 5#6", "day-of-week", "6", 10, "d#n is the n-th such day of the month, 1 to 5"},
		{"* * * * 8#1", "day-of-week", "8", 8, "0-7 or sun-sat"},
		{"* * * * 9L", "day-of-week", "9", 8, "0-7 or sun-sat"},
		{"TZ=Asia/Tokyo 0 0 * * 9", "day-of-week", "9", 22, "0-7 or sun-sat"},
		{"TZ= 0 0 * * *", "time-zone", "TZ=", 0, "an IANA name such as Asia/Tokyo"},
		{"@fortnightly", "", "@fortnightly", 0, nickname},
		{"@daily 5", "", "@daily", 0, nickname},
		{"@every", "", "@every", 0, nickname},
		{"@every soon", "@every", "soon", 7, "a duration such as 90s, 5m or 1h30m"},
		{"@every -5s", "@every", "-5s", 7, "a duration such as 90s, 5m or 1h30m"},
		{"0 0 31 2 *", "", "0 0 31 2 *", 0, never},
		{"0 0 31 4,6,9,11 *", "", "0 0 31 4,6,9,11 *", 0, never},
		{"0 0 L-30 2 *", "", "0 0 L-30 2 *", 0, never},
		{"0 0 15 * 1#1", "", "0 0 15 * 1#1", 0, never},
	} {
		_, err := cron.Parse(c.expression, cron.Options{})
		got, ok := errors.AsType[*cron.Error](err)
		if !ok {
			t.Errorf("%q: %v, want an Error", c.expression, err)
			continue
		}
		code := cron.CodeSyntax
		if c.hint == never {
			code = cron.CodeNeverFires
		}
		want := &cron.Error{Code: code, Field: c.field, Text: c.text, Position: c.position, Hint: c.hint}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.expression, diff)
		}
	}
}

func TestParseErrorText(t *testing.T) {
	t.Parallel()
	_, err := cron.Parse("0 9 * * 8", cron.Options{})
	if want := `day-of-week "8": 0-7 or sun-sat (at byte 8)`; err.Error() != want {
		t.Errorf("%s, want %s", err, want)
	}
	_, err = cron.Parse("0 9 * * *", cron.Options{Dialect: "jenkins"})
	if want := `dialect "jenkins": celery, vixie, quartz or aws (at byte 0)`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = cron.Parse("0 9 * * *", cron.Options{Seconds: true})
	if want := `expression "0 9 * * *": want 6 fields (second minute hour day-of-month month day-of-week), got 5 (at byte 0)`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestCanonical shows the canonical form, and that it is its own canonical form.
func TestCanonical(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression, want string
		seconds          bool
	}{
		{"30 9 * * mon-fri", "30 9 * * 1-5", false},
		{"  30\t9 * * MONDAY-Friday ", "30 9 * * 1-5", false},
		{"? ? ? ? ?", "* * * * *", false},
		{"0 0 * * 7", "0 0 * * 0", false},
		{"0 0 * * 0-7", "0 0 * * 0-6", false},
		{"0 0 * * 5-7", "0 0 * * 5-0", false},
		{"0 0 * * fri-mon", "0 0 * * 5-1", false},
		{"007 022-02 * * *", "7 22-2 * * *", false},
		{"5/15 * * * *", "5-59/15 * * * *", false},
		{"*/1 * * * *", "* * * * *", false},
		{"30,0,15 * * * *", "30,0,15 * * * *", false},
		{"0 0 l,l-3,wl,15w JAN-march fri#2,7l", "0 0 L,L-3,LW,15W 1-3 5#2,0L", false},
		{"TZ=Asia/Tokyo 0 9 * * *", "0 9 * * *", false},
		{"CRON_TZ=Asia/Tokyo 0 9 * * *", "0 9 * * *", false},
		{"@Daily", "0 0 * * *", false},
		{"@daily", "0 0 0 * * *", true},
		{"@every 90s", "@every 1m30s", false},
		{"*/10 0 9 * * *", "*/10 0 9 * * *", true},
	} {
		o := cron.Options{Seconds: c.seconds}
		spec, err := cron.Parse(c.expression, o)
		if err != nil {
			t.Error(err)
			continue
		}
		if spec.String() != c.want {
			t.Errorf("%q: %q, want %q", c.expression, spec, c.want)
		}
		again, err := cron.Parse(spec.String(), o)
		if err != nil || again.String() != c.want {
			t.Errorf("%q: its canonical form is read as %q, %v", c.expression, again, err)
		}
	}
}

func TestParseParts(t *testing.T) {
	t.Parallel()
	spec, err := cron.Parse("TZ=Asia/Tokyo @every 1h30m", cron.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if every, ok := spec.Every(); !ok || every != 90*time.Minute {
		t.Errorf("every %s, %v", every, ok)
	}
	if spec.Zone() != "Asia/Tokyo" {
		t.Errorf("zone %q", spec.Zone())
	}
	if due, ok := spec.In(time.UTC, "", "").Next(time.Unix(0, 0)); ok {
		t.Errorf("an interval without a phase is due at %s", due)
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		expression string
		dialect    cron.Dialect
		want       []string
	}{
		{"0 0 13 * *", cron.Celery, nil},
		{"0 0 13 * 5", cron.Celery, []string{"day_fields_and"}},
		{"0 0 13 * 5", cron.Vixie, []string{"day_fields_or"}},
		{"0 0 */2 * 5", cron.Vixie, nil}, // a field that begins with * is not restricted to Vixie: all say the same
		{"0 0 */2 * 5", cron.Celery, nil},
		{"0 0 5 * */2", cron.Celery, nil},
		{"0 0 ? * 2-6", cron.Celery, []string{"cron_dialect"}},
		{"0 0 ? * MON", cron.Vixie, []string{"cron_dialect"}},
		{"0 0 9 * * 2-6", cron.Celery, []string{"cron_dialect"}},
		{"0 0 9 * * 2L", cron.Vixie, []string{"cron_dialect"}},
		{"0 0 9 * * mon-fri", cron.Celery, nil},
		{"0 0 9 * * */2", cron.Celery, nil},
		{"@weekly", cron.Celery, nil},
		{"0 0 9 ? * 2-6", cron.Quartz, nil},
		{"0 0 1-31 * 5", cron.Celery, nil},
		{"0 0 1-31 * 5", cron.Vixie, []string{"day_fields_or"}},
		{"*/90 * * * *", cron.Celery, []string{"step_exceeds_range"}},
		{"*/90 0 L * 5L", cron.Celery, []string{"step_exceeds_range", "day_fields_and"}},
	} {
		var codes []string
		for _, w := range parse(t, c.expression, c.dialect).Warnings() {
			codes = append(codes, w.Code)
		}
		if diff := cmp.Diff(c.want, codes); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", c.expression, c.dialect, diff)
		}
	}
}
