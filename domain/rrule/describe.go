package rrule

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"
)

// phrases is a language: how it says each part of a rule.
type phrases struct {
	every     func(n int64, f Freq) string
	place     func(n int) string // 1st, last, 2nd last
	weekday   func(weekday int) string
	month     func(month int) string
	list      func(items []string) string
	months    string // each of the following has a %s for a list
	monthDays string
	yearDays  string
	weeks     string
	weekdays  string
	ofMonth   string // of numbered days of the week
	ofYear    string
	numbered  string // place and weekday
	hours     string
	minutes   string
	seconds   string
	at        string
	positions string
	count     string // %d
	until     string
	from      string
	also      string
	except    string
	others    string // %d
	between   string
	capital   bool
}

var english = phrases{
	every: func(n int64, f Freq) string {
		unit := []string{"year", "month", "week", "day", "hour", "minute", "second"}[f]
		if n == 1 {
			return "every " + unit
		}
		return fmt.Sprintf("every %d %ss", n, unit)
	},
	place: func(n int) string {
		switch {
		case n == -1:
			return "last"
		case n < 0:
			return ordinal(-n) + " last"
		}
		return ordinal(n)
	},
	weekday: func(w int) string { return time.Weekday(w).String() },
	month:   func(m int) string { return time.Month(m).String() },
	list: func(items []string) string {
		if last := len(items) - 1; last > 0 {
			return strings.Join(items[:last], ", ") + " and " + items[last]
		}
		return strings.Join(items, "")
	},
	months: "in %s", monthDays: "on the %s day of the month", yearDays: "on the %s day of the year", weeks: "in the %s week of the year",
	weekdays: "on %s", ofMonth: " of the month", ofYear: " of the year", numbered: "the %s %s", hours: "in hour %s", minutes: "at minute %s",
	seconds: "at second %s", at: "at %s", positions: "of these only the %s", count: "%d times", until: "until %s", from: "from %s on",
	also: "also at %s", except: "except at %s", others: "%d other times", between: ", ", capital: true,
}

var japanese = phrases{
	every: func(n int64, f Freq) string {
		if n == 1 {
			return []string{"毎年", "毎月", "毎週", "毎日", "毎時", "毎分", "毎秒"}[f]
		}
		return fmt.Sprintf("%d%sごと", n, []string{"年", "か月", "週間", "日", "時間", "分", "秒"}[f])
	},
	place: func(n int) string {
		switch {
		case n == -1:
			return "最後"
		case n < 0:
			return fmt.Sprintf("最後から%d番目", -n)
		}
		return fmt.Sprintf("%d番目", n)
	},
	weekday: func(w int) string {
		return []string{"日曜日", "月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日"}[w]
	},
	month:  func(m int) string { return fmt.Sprint(m, "月") },
	list:   func(items []string) string { return strings.Join(items, "と") },
	months: "%s", monthDays: "月の%sの日", yearDays: "年の%sの日", weeks: "年の%sの週", weekdays: "%s", ofMonth: "(月内)", ofYear: "(年内)",
	numbered: "%sの%s", hours: "%s時台", minutes: "%s分", seconds: "%s秒", at: "%s", positions: "そのうち%sのみ", count: "%d回", until: "%sまで",
	from: "%sから", also: "%sにも", except: "%sを除く", others: "ほか%d件", between: "、",
}

// Describe says a recurrence that has its DTSTART, in English or Japanese ("ja").
func (r Rule) Describe(language, zone string) string {
	words := &english
	if language == "ja" {
		words = &japanese
	}
	var said []string
	say := func(format string, items ...string) {
		if len(items) > 0 {
			said = append(said, fmt.Sprintf(format, words.list(items)))
		}
	}
	if r.hasRule && r.start != nil {
		r.describeRule(words, say)
		said = append([]string{words.every(r.pattern.interval, r.pattern.freq)}, said...)
	}
	say(words.also, words.times(r.rdates)...)
	say(words.except, words.times(r.exdates)...)
	if zone != "" {
		said = append(said, zone)
	}
	text := strings.Join(said, words.between)
	if words.capital && text != "" {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return text
}

func (r Rule) describeRule(words *phrases, say func(string, ...string)) {
	p := r.pattern.filled(r.start.wall)
	places := func(list []int) (items []string) {
		for _, n := range list {
			items = append(items, words.place(n))
		}
		return items
	}
	monthDays := values(uint64(p.monthDays))
	for _, n := range values(uint64(p.monthDaysBack)) {
		monthDays = append(monthDays, -n)
	}
	say(words.months, each(values(uint64(p.months)), words.month)...)
	say(words.weeks, places(p.weeks)...)
	say(words.yearDays, places(p.yearDays)...)
	say(words.monthDays, places(monthDays)...)
	days := each(values(uint64(p.weekdays)), words.weekday)
	of := words.ofYear
	if p.freq == Monthly || p.months != 0 {
		of = words.ofMonth
	}
	for _, d := range p.numbered {
		days = append(days, fmt.Sprintf(words.numbered, words.place(d.n), words.weekday(d.weekday))+of)
	}
	say(words.weekdays, days...)
	p.describeClock(words, say)
	say(words.positions, places(p.positions)...)
	say(words.from, wallText(*r.start))
	switch {
	case p.count > 0:
		say("%s", fmt.Sprintf(words.count, p.count))
	case p.hasUntil:
		say(words.until, wallText(moment{p.until, false}))
	case r.untilSet:
		say(words.until, wallText(moment{r.untilAt.Unix(), true}))
	}
}

// describeClock says clock times where there are few, else the fields that say anything.
func (p *pattern) describeClock(words *phrases, say func(string, ...string)) {
	hours, minutes, seconds := values(uint64(p.hours)), values(p.minutes), values(p.seconds)
	if p.freq <= Daily && len(hours)*len(minutes)*len(seconds) <= 6 {
		layout := "%02d:%02d"
		if p.seconds != 1 {
			layout += ":%02d"
		}
		var clocks []string
		for _, h := range hours {
			for _, m := range minutes {
				for _, s := range seconds {
					clocks = append(clocks, fmt.Sprintf(layout, []any{h, m, s}[:strings.Count(layout, "%")]...))
				}
			}
		}
		say(words.at, clocks...)
		return
	}
	number := func(n int) string { return fmt.Sprint(n) }
	for _, f := range []struct {
		format string
		list   []int
		all    int
	}{{words.hours, hours, 24}, {words.minutes, minutes, 60}, {words.seconds, seconds, 60}} {
		if len(f.list) < f.all {
			say(f.format, each(f.list, number)...)
		}
	}
}

// times are at most three of the times, and how many more there are.
func (words *phrases) times(moments []moment) (items []string) {
	for i, m := range moments {
		if i == 3 && len(moments) > 4 {
			return append(items, fmt.Sprintf(words.others, len(moments)-i))
		}
		items = append(items, wallText(m))
	}
	return items
}

func wallText(m moment) string {
	text := strings.TrimSuffix(time.Unix(m.wall, 0).UTC().Format("2006-01-02 15:04:05"), ":00")
	if m.utc {
		text += " UTC"
	}
	return text
}

func values(set uint64) (list []int) {
	for ; set != 0; set &= set - 1 {
		list = append(list, bits.TrailingZeros64(set))
	}
	return list
}

func each(list []int, name func(int) string) []string {
	items := make([]string, 0, len(list))
	for _, v := range list {
		items = append(items, name(v))
	}
	return slices.Clip(items)
}

func ordinal(n int) string {
	suffix := "th"
	if n%100/10 != 1 && n%10 >= 1 && n%10 <= 3 {
		suffix = []string{"st", "nd", "rd"}[n%10-1]
	}
	return fmt.Sprint(n) + suffix
}
