package domain

import (
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
)

// Describe returns in words when a normalized definition is due: "At 09:30, Monday to Friday, Asia/Tokyo". The language
// is one of cron.Languages; any other is treated as English.
func (d Definition) Describe(language string) string {
	text := d.describe(language)
	if d.SpreadSeconds > 0 && text != "" {
		text += spreadOver(cron.Language(language), time.Duration(d.SpreadSeconds)*time.Second)
	}
	if r := d.calendarRule(); r != nil && text != "" {
		if cron.Language(language) == cron.Japanese {
			return text + r.japanese()
		}
		return text + r.english()
	}
	return text
}

// spreadOver says within how long after its due times a schedule fires.
func spreadOver(language cron.Language, window time.Duration) string {
	length := cron.DescribeLength(language, window)
	if language == cron.Japanese {
		return "、" + length + "の間に分散"
	}
	return ", spread over " + length
}

// english says what calendars do to due times.
func (r *CalendarRule) english() string {
	text := ", except on days of "
	if len(r.Only) > 0 {
		text = ", only on days of "
	}
	text += strings.Join(r.Names(), " or ")
	return text + map[string]string{
		calendar.NextAllowed:     "; otherwise on the next allowed day",
		calendar.PreviousAllowed: "; otherwise on the previous allowed day",
		calendar.DropIfTaken:     "; otherwise on the next allowed day, if nothing is due on it",
	}[r.OnExcluded]
}

// japanese says the same.
func (r *CalendarRule) japanese() string {
	text := "、" + strings.Join(r.Names(), "または")
	if len(r.Only) > 0 {
		text += "の日のみ"
	} else {
		text += "の日を除く"
	}
	return text + map[string]string{
		calendar.NextAllowed:     "（除かれた回は次の対象日）",
		calendar.PreviousAllowed: "（除かれた回は前の対象日）",
		calendar.DropIfTaken:     "（除かれた回は次の対象日、その日に予定があれば行わない）",
	}[r.OnExcluded]
}

func (d Definition) describe(language string) string {
	say, ok := sayings[cron.Language(language)]
	if !ok {
		say = sayings[cron.English]
	}
	switch trigger, anchor := d.Trigger(); {
	case trigger.Once:
		return say.once(d.RunAt)
	case trigger.Every > 0:
		return say.interval(cron.DescribeEvery(cron.Language(language), time.Duration(trigger.Every)*time.Second), anchor)
	}
	if d.RRule != "" {
		rule, err := rrule.Parse(d.RRule)
		if err != nil {
			return "" // a fault, which is told elsewhere
		}
		return rule.Describe(language, d.Timezone)
	}
	spec, err := cron.Parse(d.CronExpression,
		cron.Options{Dialect: cron.Dialect(d.CronDialect), Seconds: d.CronSeconds})
	if err != nil {
		return "" // a fault, which Normalize reports
	}
	return spec.DescribeIn(cron.Language(language), d.Timezone)
}

// sayings holds the phrases of a language for triggers other than cron.
var sayings = map[cron.Language]struct {
	once     func(at string) string
	interval func(every string, anchor time.Time) string
}{
	cron.English: {
		func(at string) string { return "Once, at " + at },
		func(every string, anchor time.Time) string {
			return every + ", counted from " + anchor.Format(time.RFC3339Nano)
		},
	},
	cron.Japanese: {
		func(at string) string { return at + "に1回" },
		func(every string, anchor time.Time) string { return anchor.Format(time.RFC3339Nano) + "から" + every },
	},
}
