package domain_test

import (
	"fmt"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// A definition is what a user writes. All its faults are told at once, each with the field that it is in.
func ExampleDecode() {
	d, err := domain.Decode([]byte(`{"name": "nightly", "cron_expression": "61 3 * * *", "timezone": "Mars/Base"}`))
	if err == nil {
		_, _, err = d.Normalize(domain.Context{Now: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)})
	}
	for _, fault := range domain.FaultsOf(err) {
		fmt.Println(fault.Field, fault.Code)
	}
	// Output:
	// /cron_expression cron_syntax
	// /timezone timezone_unknown
	// /task_name task_missing
}

// The clocks of New York skip 02:30 on March 8; what is due then is due as soon as they show a later time.
func ExampleDefinition_Preview() {
	d := domain.Definition{CronExpression: "30 2 * * *", Timezone: "America/New_York", TaskName: "app.report"}
	p, err := d.Preview(domain.Ask{After: time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC), N: 2}, "UTC")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Description)
	for _, due := range p.DueTimes {
		fmt.Println(due.Format(time.RFC3339))
	}
	// Output:
	// At 02:30, every day, America/New_York
	// 2026-03-08T03:00:00-04:00
	// 2026-03-09T02:30:00-04:00
}

// Due times are a pure function of the trigger and of the last one; that something ran late moves none of them.
func ExampleTrigger_Recurrence() {
	hourly := domain.Definition{IntervalSeconds: 3600, TaskName: "app.sync"}
	trigger, _ := hourly.Trigger()
	r, err := trigger.Recurrence(time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC))
	if err != nil {
		fmt.Println(err)
		return
	}
	next, ok := r.Next(time.Date(2026, 3, 1, 12, 7, 0, 0, time.UTC))
	fmt.Println(next.Format(time.RFC3339), ok)
	// Output: 2026-03-01T12:30:00Z true
}
