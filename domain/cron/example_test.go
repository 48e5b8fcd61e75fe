package cron_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

func Example() {
	spec, err := cron.Parse("30 9 * * mon-fri", cron.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	tokyo, err := zone.Load("Asia/Tokyo")
	if err != nil {
		fmt.Println(err)
		return
	}
	due, _ := spec.In(tokyo, "", "").Next(time.Date(2026, 1, 2, 12, 0, 0, 0, tokyo))
	fmt.Println(spec.DescribeIn(cron.English, "Asia/Tokyo"))
	fmt.Println(due)
	// Output:
	// At 09:30, Monday to Friday, Asia/Tokyo
	// 2026-01-05 09:30:00 +0900 JST
}

func ExampleParse() {
	spec, err := cron.Parse("TZ=Asia/Tokyo 0 9 l,15w JAN-mar ?", cron.Options{})
	fmt.Println(spec, spec.Zone(), err)

	_, err = cron.Parse("0 9 * * 8", cron.Options{})
	fmt.Println(err)

	_, err = cron.Parse("0 0 31 2 *", cron.Options{})
	fmt.Println(err)
	// Output:
	// 0 9 L,15W 1-3 * Asia/Tokyo <nil>
	// day-of-week "8": 0-7 or sun-sat (at byte 8)
	// expression "0 0 31 2 *": there is no such date within 40 years (at byte 0)
}

func ExampleSpec_Warnings() {
	spec, _ := cron.Parse("0 0 13 * 5", cron.Options{Dialect: cron.Vixie})
	for _, w := range spec.Warnings() {
		fmt.Println(w.Code)
		fmt.Println(strings.Replace(w.Message, ": ", ":\n", 1))
	}
	// Output:
	// day_fields_or
	// day of month and day of week are both restricted:
	// due when either matches (Celery itself would demand both)
}

func ExampleSpec_Describe() {
	for _, dialect := range []cron.Dialect{cron.Celery, cron.Vixie} {
		spec, _ := cron.Parse("0 0 13 * 5", cron.Options{Dialect: dialect})
		fmt.Println(spec.Describe(cron.English))
		fmt.Println(spec.Describe(cron.Japanese))
	}
	// Output:
	// At 00:00, on day 13 of the month, only when it is also Friday
	// 毎月13日(金曜日にも当たる場合のみ)、00:00
	// At 00:00, on day 13 of the month, or on Friday
	// 毎月13日、または金曜日、00:00
}

// A fixed time that the clocks skip is due at the end of the gap; a cadence follows real time.
func ExampleSchedule_Next() {
	newYork, _ := zone.Load("America/New_York")
	night := time.Date(2026, 3, 8, 1, 0, 0, 0, newYork) // at 02:00 the clocks go to 03:00
	for _, expression := range []string{"30 2 * * *", "30 * * * *"} {
		spec, _ := cron.Parse(expression, cron.Options{})
		schedule := spec.In(newYork, cron.GapAuto, cron.OverlapAuto)
		first, _ := schedule.Next(night)
		second, _ := schedule.Next(first)
		fmt.Println(first.Format(time.RFC3339), second.Format(time.RFC3339))
	}
	// Output:
	// 2026-03-08T03:00:00-04:00 2026-03-09T02:30:00-04:00
	// 2026-03-08T01:30:00-05:00 2026-03-08T03:30:00-04:00
}

func ExampleSchedule_Prev() {
	spec, _ := cron.Parse("0 9 LW * *", cron.Options{})
	due, _ := spec.In(time.UTC, "", "").Prev(time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC))
	fmt.Println(due.Format("Monday 2 January"))
	// Output: Friday 29 May
}

func ExampleSchedule_Between() {
	spec, _ := cron.Parse("0 22-2/2 * * *", cron.Options{})
	night := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	for due := range spec.In(time.UTC, "", "").Between(night, night.Add(24*time.Hour)) {
		fmt.Println(due.Format(time.DateTime))
	}
	// Output:
	// 2026-01-01 22:00:00
	// 2026-01-02 00:00:00
	// 2026-01-02 02:00:00
}

func ExamplePreview() {
	newYork, _ := zone.Load("America/New_York")
	spec, _ := cron.Parse("30 2 * * *", cron.Options{})
	schedule := spec.In(newYork, "", "")
	for _, due := range cron.Preview(schedule, time.Date(2026, 3, 7, 0, 0, 0, 0, newYork), 3) {
		fmt.Printf("%s %q %q\n", due.At.Format(time.RFC3339), due.Mark, due.Wall)
	}
	// Output:
	// 2026-03-07T02:30:00-05:00 "" ""
	// 2026-03-08T03:00:00-04:00 "moved" "2026-03-08T02:30:00"
	// 2026-03-09T02:30:00-04:00 "" ""
}

func ExampleResolveLocal() {
	newYork, _ := zone.Load("America/New_York")
	wall := time.Date(2026, 11, 1, 1, 30, 0, 0, time.UTC) // shown twice
	for _, overlap := range []cron.OverlapPolicy{cron.OverlapFirst, cron.OverlapSecond} {
		at, ok := cron.ResolveLocal(wall, newYork, cron.GapAuto, overlap)
		fmt.Println(at.Format(time.RFC3339), ok)
	}
	// Output:
	// 2026-11-01T01:30:00-04:00 true
	// 2026-11-01T01:30:00-05:00 true
}
