package bench

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
)

// Figure is one measured value.
type Figure struct {
	Section string    `json:"section"`
	Name    string    `json:"name"`
	Value   float64   `json:"value"` // the median of Rounds
	Unit    Unit      `json:"unit"`
	Rounds  []float64 `json:"rounds"`
	Goal    Goal      `json:"goal"`
	Noisy   bool      `json:"noisy"`
	Ours    float64   `json:"ours,omitempty"` // of a ratio: our rate, per second
	Peer    float64   `json:"peer,omitempty"` // of a ratio: the peer's rate, per second
	Note    string    `json:"note,omitempty"`
}

// Unit is the unit of a value.
type Unit string

// The units. A ratio is our rate divided by the peer's: more is better.
const (
	Ratio        Unit = "x"
	PerSecond    Unit = "/s"
	Milliseconds Unit = "ms"
	Seconds      Unit = "s"
	Nanoseconds  Unit = "ns"
	Bytes        Unit = "B"
	Percent      Unit = "%"
)

// Goal is a bound for a value; the zero Goal is none.
type Goal struct {
	least, most *float64
}

// AtLeast returns a lower bound.
func AtLeast(v float64) Goal { return Goal{least: &v} }

// AtMost returns an upper bound.
func AtMost(v float64) Goal { return Goal{most: &v} }

// Met reports whether a value meets the goal; true when there is none.
func (g Goal) Met(v float64) bool {
	return (g.least == nil || v >= *g.least) && (g.most == nil || v <= *g.most)
}

func (g Goal) String() string {
	switch {
	case g.least != nil:
		return fmt.Sprintf(">= %g", *g.least)
	case g.most != nil:
		return fmt.Sprintf("<= %g", *g.most)
	}
	return ""
}

// MarshalJSON encodes the goal's text.
func (g Goal) MarshalJSON() ([]byte, error) { return json.Marshal(g.String()) }

// spread is how far the rounds of a figure may lie apart, relative to their median, before the figure counts as noisy.
const spread = 0.25

// NewFigure returns a figure for the values of its rounds.
func NewFigure(name string, unit Unit, goal Goal, rounds []float64) Figure {
	f := Figure{Name: name, Unit: unit, Goal: goal, Rounds: rounds, Value: median(rounds)}
	f.Noisy = len(rounds) > 1 && slices.Max(rounds)-slices.Min(rounds) > spread*f.Value
	return f
}

func median[T cmp.Ordered](values []T) T {
	return percentile(values, 50)
}

// percentile returns the smallest value that the given percentage of the values does not exceed.
func percentile[T cmp.Ordered](values []T, of int) T {
	if len(values) == 0 {
		var none T
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, (len(sorted)*of+99)/100-1)]
}
