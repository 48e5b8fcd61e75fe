package pages

import (
	"context"
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/shadow"
)

// movingData answers: what was adopted from which table, which rows cannot be scheduled, and does tactus do what the
// old beat does?
type movingData struct {
	Tables   []adoptionLine
	Invalid  []catalog.InvalidRow
	Failures []failureLine
	Leader   string         // the beat that fires; empty for none
	Shadow   *catalog.Lease // the lease of the beat in shadow mode; nil if there is none
	Spans    []choice
	Report   *shadow.Report
	Differ   []shadow.Row // the schedules that the two beats treat differently
	Same     int
	Watched  string
}

type adoptionLine struct {
	catalog.Adoption
	Since Moment
}

type failureLine struct {
	catalog.AdoptFailure
	When Moment
}

// shadowTolerance is the default of tactus shadow report.
var shadowTolerance = shadow.Tolerance{Early: 2 * time.Second, Late: 10 * time.Second}

// differShown is how many of the schedules that differ are shown.
const differShown = 200

func (s *site) moving() {
	s.getAs(mayReadAll, "/system/moving", func(v *view) (string, any, error) {
		var d movingData
		found, err := v.Catalog.Moving(v.ctx())
		if err != nil {
			return "", nil, err
		}
		for _, a := range found.Tables {
			d.Tables = append(d.Tables, adoptionLine{a, v.at(a.At, "")})
		}
		for _, f := range found.Failures {
			d.Failures = append(d.Failures, failureLine{f, v.at(f.At, "")})
		}
		d.Invalid = found.Invalid
		health := v.Health()
		for _, l := range health.At.Leases {
			held := l.Holder != "" && l.ExpiresAt.After(health.At.Now)
			switch {
			case l.Name == "shadow":
				d.Shadow = &l
			case l.Name == "beat" && held:
				d.Leader = l.Holder
			}
		}
		span := v.r.URL.Query().Get("report")
		for _, o := range []choice{{"hour", v.T("last hour"), false}, {"day", v.T("last 24 hours"), false}, {"week", v.T("last 7 days"), false}} {
			o.Chosen = o.Value == span
			d.Spans = append(d.Spans, o)
		}
		if since, ok := spans[span]; ok && v.Shadow != nil {
			if err := v.report(&d, v.Now.Add(-since)); err != nil {
				return "", nil, err
			}
		}
		return "moving", d, nil
	})
}

// report compares what the shadow would have fired with what the old beat sent.
func (v *view) report(d *movingData, since time.Time) error {
	record, err := v.Shadow(v.ctx(), since)
	if err != nil {
		return fmt.Errorf("read what the shadow recorded: %w", err)
	}
	report := shadow.Compare(record, shadowTolerance, since, v.Now)
	d.Report, d.Watched = &report, took(v.Lang, time.Duration(report.Watched*float64(time.Second)))
	for _, row := range report.Schedules {
		if row.OnlyTactus+row.OnlyOld+row.OtherArgs+row.OtherQueue == 0 {
			d.Same++
		} else if len(d.Differ) < differShown {
			d.Differ = append(d.Differ, row)
		}
	}
	return nil
}

// Shadowed reads what a shadow and its watcher have recorded since an instant.
type Shadowed func(ctx context.Context, since time.Time) (shadow.Record, error)
