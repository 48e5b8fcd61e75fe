package pages

import (
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain/zone"
)

// Moment is an instant as pages show it: relative to now, and in one zone. The other zones are in the tooltip.
type Moment struct {
	ISO      string
	Relative string // "in 19 h"
	Clock    string // "09:30 JST"
	Zones    string // in the zone of the schedule, the viewer's zone, and UTC
}

// at returns an instant in the named IANA zone. An empty name means the viewer's zone, or UTC while that is unknown.
func (v *view) at(t time.Time, zoneName string) Moment {
	location := v.Zone
	if location == nil {
		location = time.UTC
	}
	if zoneName != "" {
		if own, err := zone.Load(zoneName); err == nil {
			location = own
		}
	}
	return Moment{
		ISO: t.UTC().Format(time.RFC3339), Relative: relative(v.Lang, t.Sub(v.Now)),
		Clock: clock(v.Lang, t.In(location), v.Now.In(location)), Zones: v.zones(t, location),
	}
}

// ZoneName names the zone of what is shown by the viewer's clock.
func (v *view) ZoneName() string {
	if v.Zone == nil {
		return "UTC"
	}
	return v.Zone.String()
}

func (v *view) maybeAt(t *time.Time, zoneName string) *Moment {
	if t == nil {
		return nil
	}
	m := v.at(*t, zoneName)
	return &m
}

// zones returns an instant in every zone that the viewer may think in.
func (v *view) zones(t time.Time, own *time.Location) string {
	texts := []string{t.In(own).Format("2006-01-02 15:04:05 ") + own.String()}
	for _, other := range []*time.Location{v.Zone, time.UTC} {
		if other == nil || other.String() == own.String() || other == time.UTC && v.Zone != nil && v.Zone.String() == "UTC" {
			continue
		}
		text := t.In(other).Format("2006-01-02 15:04:05 ") + other.String()
		if other == v.Zone {
			text += " (" + v.T("you") + ")"
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " · ")
}

var weekdays = map[string][7]string{
	"en": {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"},
	"ja": {"日", "月", "火", "水", "木", "金", "土"},
}

// clock formats a local time with the part of the date that tells it from today.
func clock(lang string, t, now time.Time) string {
	text := t.Format("15:04")
	if t.Second() != 0 {
		text = t.Format("15:04:05")
	}
	name, _ := t.Zone()
	if strings.HasPrefix(name, "+") || strings.HasPrefix(name, "-") {
		name = "UTC" + name
	}
	days := daysBetween(now, t)
	switch {
	case days == 0:
	case days > 0 && days < 7 || days < 0 && days > -7:
		text = weekdays[lang][t.Weekday()] + " " + text
	default:
		text = t.Format("2006-01-02 ") + text
	}
	return text + " " + name
}

// daysBetween counts the midnights between a and b.
func daysBetween(a, b time.Time) int {
	from := time.Date(a.Year(), a.Month(), a.Day(), 0, 0, 0, 0, time.UTC)
	to := time.Date(b.Year(), b.Month(), b.Day(), 0, 0, 0, 0, time.UTC)
	return int(to.Sub(from) / (24 * time.Hour))
}

// units are the units of relative times, the largest first. app.js has the same list.
var units = []struct {
	length time.Duration
	en, ja string
}{
	{365 * 24 * time.Hour, "y", "年"}, {24 * time.Hour, "d", "日"}, {time.Hour, "h", "時間"}, {time.Minute, "min", "分"}, {time.Second, "s", "秒"},
}

// relative says how far an instant is from now.
func relative(lang string, d time.Duration) string {
	away := d.Abs().Round(time.Second)
	for _, u := range units {
		n := int64(away / u.length)
		switch {
		case n == 0:
			continue
		case lang == "ja" && d > 0:
			return fmt.Sprintf("%d%s後", n, u.ja)
		case lang == "ja":
			return fmt.Sprintf("%d%s前", n, u.ja)
		case d > 0:
			return fmt.Sprintf("in %d %s", n, u.en)
		default:
			return fmt.Sprintf("%d %s ago", n, u.en)
		}
	}
	if lang == "ja" {
		return "今"
	}
	return "now"
}

// took formats a duration, in milliseconds if it is shorter than a second.
func took(lang string, d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour && int(d.Seconds())%60 == 0:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	_ = lang // both languages use the SI symbols
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// count formats a number with a comma after each three digits.
func count(n int64) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
