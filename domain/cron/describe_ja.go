package cron

import (
	"fmt"
	"strings"
	"time"
)

var japanese = phrases{
	never:    "実行されません",
	everyDay: "毎日",
	once:     func(at string) string { return at + "に1回" },
	interval: func(d time.Duration) string {
		n, unit, whole := inUnit(d)
		if !whole {
			return d.String() + "ごと"
		}
		return eachJA(int(n), unit)
	},
	length: func(d time.Duration) string {
		n, unit, whole := inUnit(d)
		if !whole {
			return d.String()
		}
		return fmt.Sprint(n, map[period]string{perSecond: "秒", perMinute: "分", perHour: "時間"}[unit])
	},
	times:  func(clocks []string) string { return strings.Join(clocks, "、") },
	rhythm: rhythmJA,
	marks: func(p period, spans []span) string {
		return wholesJA[p] + spansJA(spans, func(n int) string { return fmt.Sprint(n, unitsJA[p]) })
	},
	within:   withinJA,
	hours:    hoursJA,
	dates:    datesJA,
	weekdays: weekdaysJA,
	both:     func(date, weekday string) string { return date + "(" + weekday + "にも当たる場合のみ)" },
	either:   func(date, weekday string) string { return date + "、または" + weekday },
	months: func(spans []span) string {
		return spansJA(spans, func(m int) string { return fmt.Sprint(m, "月") })
	},
	years:    yearsJA,
	sentence: sentenceJA,
}

var (
	unitsJA    = [...]string{perSecond: "秒", perMinute: "分", perHour: "時"}
	wholesJA   = [...]string{perSecond: "毎分", perMinute: "毎時"}
	weekdayJA  = [...]string{"日曜日", "月曜日", "火曜日", "水曜日", "木曜日", "金曜日", "土曜日"}
	durationJA = [...]string{perSecond: "秒", perMinute: "分", perHour: "時間"}
)

// sentenceJA goes from the large to the small.
func sentenceJA(p parts) string {
	days := p.days
	switch {
	case p.months != "" && days != "":
		days = p.months + "の" + days
	case p.months != "":
		days = p.months
	}
	if p.years != "" && days != "" {
		days = p.years + "の" + days
	} else if p.years != "" {
		days = p.years
	}
	var said []string
	for _, part := range []string{days, p.hours, p.within, p.rhythm} {
		if part != "" {
			said = append(said, part)
		}
	}
	text := strings.Join(said, "、")
	if p.zone != "" {
		text += "、" + p.zone
	}
	return text
}

func eachJA(n int, p period) string {
	if n == 1 {
		return "毎" + unitsJA[p]
	}
	return fmt.Sprintf("%d%sごと", n, durationJA[p])
}

func rhythmJA(r rhythm) string {
	each, from, to := eachJA(r.n, r.period), r.from, r.to
	if r.period != perHour {
		from, to = wholesJA[r.period]+r.from+unitsJA[r.period], r.to+unitsJA[r.period]
	}
	switch {
	case r.from == "":
		return each
	case r.to == "":
		return from + "から" + each
	}
	return from + "から" + to + "まで" + each
}

func withinJA(u period, p pattern) string {
	name := func(n int) string { return fmt.Sprint(n, unitsJA[u]) }
	if p.step > 1 {
		return fmt.Sprintf("%s%sから%sまで%sの間", wholesJA[u], name(p.from), name(p.to), eachJA(p.step, u))
	}
	return wholesJA[u] + spansJA(p.spans, name) + "の間"
}

func hoursJA(p pattern) string {
	if p.step > 1 {
		return fmt.Sprintf("%02d:00から%02d:59まで%sの1時間", p.from, p.to, eachJA(p.step, perHour))
	}
	var texts []string
	for _, s := range p.runs {
		texts = append(texts, fmt.Sprintf("%02d:00から%02d:59まで", s.from, s.to))
	}
	return strings.Join(texts, "と")
}

func yearsJA(p pattern) string {
	if p.step > 1 {
		return fmt.Sprintf("%d年から%d年まで%d年ごと", p.from, p.to, p.step)
	}
	return spansJA(p.spans, func(year int) string { return fmt.Sprint(year, "年") })
}

func datesJA(d dates, inMonths bool) string {
	var texts []string
	switch {
	case d.step > 1:
		texts = append(texts, fmt.Sprintf("%d日から%d日まで%d日ごと", d.from, d.to, d.step))
	case d.count > 0:
		texts = append(texts, spansJA(d.spans, func(n int) string { return fmt.Sprint(n, "日") }))
	}
	for _, n := range d.last {
		if n == 0 {
			texts = append(texts, "月末日")
		} else {
			texts = append(texts, fmt.Sprintf("月末日の%d日前", n))
		}
	}
	for _, n := range d.nearLast {
		if n == 0 {
			texts = append(texts, "最終平日")
		} else {
			texts = append(texts, fmt.Sprintf("月末日の%d日前に最も近い平日", n))
		}
	}
	for _, n := range d.nearest {
		texts = append(texts, fmt.Sprintf("%d日に最も近い平日", n))
	}
	every := "毎月"
	if inMonths || d.count == 0 && len(d.nearest) == 0 {
		every = "" // the months are said before, or the words say it
	}
	return every + strings.Join(texts, "、")
}

func weekdaysJA(w weekdays, second bool) string {
	var texts []string
	if len(w.spans) > 0 {
		texts = append(texts, spansJA(w.spans, func(d int) string { return weekdayJA[d] }))
	}
	for _, n := range w.nth {
		which := "最終"
		if n.n > 0 {
			which = fmt.Sprintf("第%d", n.n)
		}
		texts = append(texts, which+weekdayJA[n.weekday])
	}
	if second {
		return strings.Join(texts, "または")
	}
	return strings.Join(texts, "、")
}

func spansJA(spans []span, name func(int) string) string {
	var texts []string
	for _, s := range spans {
		if s.from == s.to {
			texts = append(texts, name(s.from))
			continue
		}
		texts = append(texts, name(s.from)+"から"+name(s.to))
	}
	return strings.Join(texts, "、")
}
