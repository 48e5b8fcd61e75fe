package main

import (
	"context"
	"math"
	"time"

	robfig "github.com/robfig/cron/v3"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/bench"
)

var zones = []string{"UTC", "Europe/Berlin"}

var expressions = []string{
	"*/5 * * * *", "0 * * * *", "0 9 * * 1-5", "30 2 1 * *", "15 14 1 * *",
	"*/10 8-18 * * 1-5", "0 0 * * 0", "5,35 * * * *", "0 */2 * * *", "23 4 29 2 *",
}

// leastRatio is how many times as fast as robfig/cron our engine should be, as the geometric mean of all cases.
const leastRatio = 2

// cronSection steps both engines through the due times of ten expressions in two zones. Both use the embedded zone
// data: those list few transitions, so the time package evaluates the zone's rule anew in each of the peer's steps.
func cronSection(ctx context.Context, l *bench.Lab) (figures []bench.Figure, err error) {
	means := make([]float64, l.Rounds())
	for _, name := range zones {
		for _, expression := range expressions {
			our, err := ours(expression, name)
			if err != nil {
				return nil, err
			}
			their, err := theirs(expression, name)
			if err != nil {
				return nil, err
			}
			f, err := inTurns(ctx, l, "Next of "+expression+" in "+name, walk(our), walk(their))
			if err != nil {
				return nil, err
			}
			for round, ratio := range f.Rounds {
				means[round] += math.Log(ratio) / float64(len(zones)*len(expressions))
			}
			figures = append(figures, f)
		}
	}
	for round, logarithm := range means {
		means[round] = math.Exp(logarithm)
	}
	return append(figures, bench.NewFigure("Next, geometric mean of all", bench.Ratio, bench.AtLeast(leastRatio), means)), nil
}

// turn is how many due times one engine steps through before the other's turn.
const turn = 100

// inTurns lets both engines run alternately, so that other load on the machine slows both equally.
func inTurns(ctx context.Context, l *bench.Lab, name string, ours, theirs func()) (bench.Figure, error) {
	var ratios, ourRates, theirRates []float64
	for range l.Rounds() {
		var our, their time.Duration
		turns := 0
		for our+their < time.Duration(l.Size(100))*time.Millisecond {
			start := time.Now()
			ours()
			middle := time.Now()
			theirs()
			our, their = our+middle.Sub(start), their+time.Since(middle)
			turns++
		}
		steps := float64(turns * turn)
		ratios = append(ratios, float64(their)/float64(our))
		ourRates, theirRates = append(ourRates, steps/our.Seconds()), append(theirRates, steps/their.Seconds())
	}
	f := bench.NewFigure(name, bench.Ratio, bench.Goal{}, ratios)
	f.Ours, f.Peer = ourRates[0], theirRates[0]
	return f, ctx.Err()
}

// walk returns a function that steps through the due times of four years from 2026 on, again and again, one turn a
// call.
func walk(next func(time.Time) time.Time) func() {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	end := start.AddDate(4, 0, 0)
	at := start
	return func() {
		for range turn {
			if at = next(at); at.After(end) {
				at = start
			}
		}
	}
}

func ours(expression, name string) (func(time.Time) time.Time, error) {
	spec, err := cron.Parse(expression, cron.Options{})
	if err != nil {
		return nil, err
	}
	location, err := zone.Load(name)
	if err != nil {
		return nil, err
	}
	schedule := spec.In(location, "", "")
	return func(at time.Time) time.Time {
		due, _ := schedule.Next(at)
		return due
	}, nil
}

// theirs adapts the peer, which computes in the zone of the time that it is given.
func theirs(expression, name string) (func(time.Time) time.Time, error) {
	schedule, err := robfig.ParseStandard(expression)
	if err != nil {
		return nil, err
	}
	location, err := zone.Load(name)
	if err != nil {
		return nil, err
	}
	return func(at time.Time) time.Time { return schedule.Next(at.In(location)) }, nil
}
