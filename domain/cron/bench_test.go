package cron_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain/cron"
)

// BenchmarkNext steps through the due times of four years, again and again. Its peer is in internal/bench/peers.
func BenchmarkNext(b *testing.B) {
	for _, name := range []string{"UTC", "Europe/Berlin"} {
		for _, expression := range benchmarkExpressions {
			b.Run(name+"/"+expression, func(b *testing.B) {
				schedule := parseIn(b, expression, name, cron.Options{})
				start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
				t, end := start, start.AddDate(4, 0, 0)
				b.ReportAllocs()
				for b.Loop() {
					due, ok := schedule.Next(t)
					if !ok {
						b.Fatal("no due time")
					}
					if t = due; t.After(end) {
						t = start
					}
				}
			})
		}
	}
}

var benchmarkExpressions = []string{
	"*/5 * * * *", "0 * * * *", "0 9 * * 1-5", "30 2 1 * *", "15 14 1 * *",
	"*/10 8-18 * * 1-5", "0 0 * * 0", "5,35 * * * *", "0 */2 * * *", "23 4 29 2 *",
}
