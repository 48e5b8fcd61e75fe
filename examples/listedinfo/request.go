package main

import (
	"encoding/json"
	"io"
	"net/http"

	"github.com/tactus-dev/tactus/domain"
)

// request is a whole schedule, or the members that an update changes.
type request struct {
	Name           *string   `json:"name"`
	CronExpression *string   `json:"cron_expression"`
	PresetName     *string   `json:"preset_name"`
	Description    *string   `json:"description"`
	Enabled        *bool     `json:"enabled"`
	PeriodType     *string   `json:"period_type"`
	FromDate       *string   `json:"from_date"`
	ToDate         *string   `json:"to_date"`
	Codes          *[]string `json:"codes"`
	Market         *string   `json:"market"`
}

const maxBody = 64 << 10

func readRequest(r *http.Request) (in request, err error) {
	decoder := json.NewDecoder(io.LimitReader(r.Body, maxBody))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&in); err != nil {
		return in, &domain.Error{Kind: domain.Invalid, Code: "body_invalid", Message: err.Error()}
	}
	return in, nil
}

// onto applies the request to an existing schedule.
func (in request) onto(f fetch, d domain.Definition) (fetch, domain.Definition, error) {
	set(&f.PeriodType, in.PeriodType)
	if in.PeriodType != nil && *in.PeriodType != "custom" {
		f.FromDate, f.ToDate = nil, nil
	}
	set(&f.Codes, in.Codes)
	for _, m := range []struct{ to, from **string }{{&f.FromDate, &in.FromDate}, {&f.ToDate, &in.ToDate}, {&f.Market, &in.Market}} {
		if *m.from != nil {
			*m.to = *m.from
		}
	}
	if f.Codes == nil {
		f.Codes = []string{}
	}
	set(&d.Name, in.Name)
	set(&d.Description, in.Description)
	if in.Enabled != nil {
		d.Enabled = in.Enabled
	}
	switch {
	case in.PresetName != nil: // it takes precedence over a cron expression
		d.PresetName, d.CronExpression = *in.PresetName, ""
	case in.CronExpression != nil:
		d.PresetName, d.CronExpression = "", *in.CronExpression
	}
	d, err := f.into(d)
	return f, d, err
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
