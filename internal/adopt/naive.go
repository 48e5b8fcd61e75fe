package adopt

import (
	"cmp"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// reader reads the times of rows as the old beat does: one whose times have no zones takes local times for UTC.
type reader struct {
	local   *time.Location
	release oldbeat.Release
	newest  time.Time // the newest last run of the table's rows
}

func (s Source) reader() (reader, error) {
	local, err := zone.Load(cmp.Or(s.NaiveTimezone, "UTC"))
	return reader{local: local, release: s.Celery}, err
}

// instant parses a time as PostgreSQL writes it in JSON. One without an offset is of a column without a zone, from
// which every beat reads what stands there.
func (r reader) instant(text string) time.Time {
	at := instantOf(text)
	if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
		return at
	}
	at = at.In(r.local)
	return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), time.UTC)
}

// compare compares how both beats run a row. Where the old one misreads its times, it goes by what it reads.
func (r reader) compare(s domain.Schedule, o origin, now time.Time) (oldbeat.Comparison, error) {
	if r.local == time.UTC {
		ran := instantOf(o.LastRunAt)
		c, err := oldbeat.Compare(s, s.CronExpression, r.release, ran, o.adopted(s, now))
		if err == nil {
			err = c.Saved(s, ran, r.newest, now)
		}
		return c, err
	}
	theirs := s
	if o.StartTime != "" {
		theirs.StartsAt = r.instant(s.StartsAt).Format(time.RFC3339Nano)
	}
	if o.LastRunAt == "" && o.StartTime != "" && s.IntervalSeconds != 0 {
		theirs.IntervalAnchor = r.instant(s.IntervalAnchor).Format(time.RFC3339Nano)
	}
	c, err := oldbeat.Compare(theirs, s.CronExpression, r.release, r.instant(o.LastRunAt), o.adopted(s, now))
	if err == nil {
		c.Next, err = oldbeat.Next(s, o.adopted(s, now))
	}
	if err != nil {
		return c, err
	}
	if at := r.instant(o.Clocked.Time); !at.IsZero() && s.Runnable() {
		if at.Before(now) {
			at = now
		}
		c.NextCelery = &at
	}
	r.differ(&c)
	return c, nil
}

// differ tells where the old beat's reading makes a difference.
func (r reader) differ(c *oldbeat.Comparison) {
	known := false
	for i := range c.Differences {
		if d := &c.Differences[i]; d.Code == "instants" || d.Code == "overdue" {
			d.Message += fmt.Sprintf(" (it takes local times of %s for UTC)", r.local)
			known = true
		} else if d.Code != "dst" {
			known = true
		}
	}
	if !known && !c.FromStart && apart(c.Next, c.NextCelery) {
		c.Differences = append(c.Differences, oldbeat.Difference{
			Code: "instants",
			Message: fmt.Sprintf("Celery's beat takes local times of %s for UTC, and sends it at %s; tactus at %s",
				r.local, said(c.NextCelery), said(c.Next)),
		})
	}
}

// expiry is the difference of a row that has an expiry still to come, which goes with each message of Celery's beat. Of
// a disabled one it is told, too, which may be enabled until then.
func (r reader) expiry(s domain.Schedule, now time.Time) []oldbeat.Difference {
	if ends := s.Policy().EndsAt; !ends.After(now) {
		return nil
	}
	return []oldbeat.Difference{{
		Code: "expires",
		Message: fmt.Sprintf("each message of Celery's beat says that it expires at %s; tactus fires nothing from %s "+
			"on, but messages that wait in the queue then still run: clear expires and set expire_seconds (it takes "+
			"one of them), or have its task expire by a route (tactus route set TASK --expires LENGTH)",
			r.instant(s.EndsAt).Format(time.RFC3339), s.EndsAt),
	}}
}

// apart reports whether two due times differ by more than the clocks of two hosts may.
func apart(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a != b
	}
	return a.Sub(*b).Abs() > time.Minute
}

func said(at *time.Time) string {
	if at == nil {
		return "no time"
	}
	return at.UTC().Format(time.RFC3339)
}
