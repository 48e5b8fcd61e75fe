package bench

import (
	"context"
	"fmt"
	"time"
)

// rounds is how many times everything is measured.
const rounds = 5

// Work does something once, and returns its rate per second.
type Work func(ctx context.Context) (rate float64, err error)

// Timed returns Work for a function that does n things.
func Timed(n int, do func(ctx context.Context) error) Work {
	return func(ctx context.Context) (float64, error) {
		start := time.Now()
		err := do(ctx)
		return float64(n) / time.Since(start).Seconds(), err
	}
}

// Compare runs ours and the peer in turns, and returns the ratio of their rates. They take turns at going first.
func (l *Lab) Compare(ctx context.Context, name string, goal Goal, ours, peer Work) (Figure, error) {
	var ratios, our, their []float64
	for round := range l.Rounds() {
		var rates [2]float64
		for turn := range 2 {
			who := (turn + round) % 2
			rate, err := []Work{ours, peer}[who](ctx)
			if err != nil {
				return Figure{}, fmt.Errorf("%s, %s: %w", name, []string{"ours", "the peer"}[who], err)
			}
			rates[who] = rate
		}
		our, their, ratios = append(our, rates[0]), append(their, rates[1]), append(ratios, rates[0]/rates[1])
		l.Say(fmt.Sprintf("%s: round %d: %.3g/s to %.3g/s, %.2f", name, round+1, rates[0], rates[1], rates[0]/rates[1]))
	}
	f := NewFigure(name, Ratio, goal, ratios)
	f.Ours, f.Peer = median(our), median(their)
	return f, nil
}

// Wanted names one of the values that a round of Repeat returns.
type Wanted struct {
	Name string
	Unit Unit
	Goal Goal
}

// Repeat measures several values at once, round by round.
func (l *Lab) Repeat(
	ctx context.Context, wanted []Wanted, once func(ctx context.Context) ([]float64, error),
) ([]Figure, error) {
	values := make([][]float64, len(wanted))
	for round := range l.Rounds() {
		got, err := once(ctx)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", wanted[0].Name, err)
		}
		for i, v := range got {
			values[i] = append(values[i], v)
			l.Say(fmt.Sprintf("%s: round %d: %.4g %s", wanted[i].Name, round+1, v, wanted[i].Unit))
		}
	}
	figures := make([]Figure, len(wanted))
	for i, w := range wanted {
		figures[i] = NewFigure(w.Name, w.Unit, w.Goal, values[i])
	}
	return figures, nil
}
