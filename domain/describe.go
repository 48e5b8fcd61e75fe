package domain

import (
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/rrule"
)

// Describe returns in words when a normalized definition is due: "At 09:30, Monday to Friday, Asia/Tokyo". The language
// is one of cron.Languages; any other is treated as English.
func (d Definition) Describe(language string) string {
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
