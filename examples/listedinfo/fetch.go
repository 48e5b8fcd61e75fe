package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// fetch is this service's part of a schedule: which lists are fetched. It is a row of its own, and the schedule's
// kwargs.
type fetch struct {
	PeriodType string   `json:"period_type"`
	FromDate   *string  `json:"from_date,omitempty"`
	ToDate     *string  `json:"to_date,omitempty"`
	Codes      []string `json:"codes"`  // all when empty
	Market     *string  `json:"market"` // all when null
}

var periodTypes = []string{"yesterday", "7days", "30days", "custom"}

// check returns faults by this service's own rules; tactus checks its rules itself.
func (f fetch) check() (faults domain.Faults) {
	fault := func(field, message string) {
		faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: "fetch_invalid", Field: field, Message: message})
	}
	if !slices.Contains(periodTypes, f.PeriodType) {
		fault("/period_type", fmt.Sprintf("%q: want one of %v", f.PeriodType, periodTypes))
	}
	for field, date := range map[string]*string{"/from_date": f.FromDate, "/to_date": f.ToDate} {
		switch {
		case date == nil && f.PeriodType == "custom":
			fault(field, "a custom period needs from_date and to_date")
		case date != nil && f.PeriodType != "custom":
			fault(field, "only a custom period has dates")
		case date != nil && !isDate(*date):
			fault(field, fmt.Sprintf("%q: want YYYY-MM-DD", *date))
		}
	}
	if faults == nil && f.PeriodType == "custom" && *f.ToDate < *f.FromDate {
		fault("/to_date", "it is before from_date")
	}
	for i, code := range f.Codes {
		if code == "" || len(code) > 10 {
			fault(fmt.Sprintf("/codes/%d", i), "a code has 1 to 10 characters")
		}
	}
	return faults
}

func isDate(text string) bool {
	_, err := time.Parse(time.DateOnly, text)
	return err == nil
}

const (
	taskName = "fetch_listed_info_task"
	category = "listed_info"
)

// into adds what is fetched to a schedule's definition.
func (f fetch) into(d domain.Definition) (domain.Definition, error) {
	kwargs, err := json.Marshal(f)
	if err != nil {
		return d, fmt.Errorf("encode kwargs: %w", err)
	}
	d.TaskName, d.Category, d.Tags, d.Kwargs = taskName, category, []string{category, f.PeriodType}, kwargs
	return d, nil
}
