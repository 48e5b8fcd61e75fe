package cron

import "math/bits"

// span is a run of values, both ends included. On a circle (hours, weekdays, months) to may be before from.
type span struct{ from, to int }

// pattern is the set of values of a field, seen as people would say it.
type pattern struct {
	all      bool
	round    bool // the steps go round the whole field evenly
	step     int  // every step-th value from from to to; 0 when the values have no such order
	from, to int  // the first and the last value
	count    int
	runs     []span // the values as runs
	spans    []span // the same, runs of two as two
}

func patternOf(set uint64, low, high int, circle bool) pattern {
	return patternOfList(values(set), low, high, circle)
}

func patternOfList(list []int, low, high int, circle bool) pattern {
	if len(list) == 0 {
		return pattern{}
	}
	size := high - low + 1
	p := pattern{all: len(list) == size, from: list[0], to: list[len(list)-1], count: len(list)}
	p.runs = runsOf(list)
	if circle && !p.all && p.from == low && p.to == high {
		p.runs = acrossTheEnd(p.runs)
	}
	p.step, p.round = stepOf(list, size, low)
	if len(p.runs) == 1 && p.count > 3 {
		p.step, p.from, p.to = 1, p.runs[0].from, p.runs[0].to // it may go round the end
	}
	p.spans = pairsApart(p.runs, low, size)
	return p
}

// acrossTheEnd makes one run of the last and the first.
func acrossTheEnd(runs []span) []span {
	last := len(runs) - 1
	return append(runs[1:last:last], span{runs[last].from, runs[0].to})
}

// stepOf is the distance of the values when all have the same and there are enough of them to say so, and whether it
// is the distance from the last to the first too.
func stepOf(list []int, size, low int) (step int, round bool) {
	if len(list) < 2 {
		return 0, false
	}
	step = list[1] - list[0]
	for i := 2; i < len(list); i++ {
		if list[i]-list[i-1] != step {
			return 0, false
		}
	}
	round = list[0]+size-list[len(list)-1] == step
	switch {
	case round && (len(list) > 2 || list[0] == low), len(list) > 3:
		return step, round
	}
	return 0, false
}

func runsOf(list []int) (runs []span) {
	for _, v := range list {
		if n := len(runs); n > 0 && runs[n-1].to == v-1 {
			runs[n-1].to = v
			continue
		}
		runs = append(runs, span{v, v})
	}
	return runs
}

// pairsApart makes two runs of a run of two: "Saturday and Sunday" reads better than "Saturday to Sunday".
func pairsApart(runs []span, low, size int) (apart []span) {
	for _, s := range runs {
		if s.to == low+(s.from-low+1)%size {
			apart = append(apart, span{s.from, s.from}, span{s.to, s.to})
			continue
		}
		apart = append(apart, s)
	}
	return apart
}

// values are the bits of a set.
func values(set uint64) (list []int) {
	for ; set != 0; set &= set - 1 {
		list = append(list, bits.TrailingZeros64(set))
	}
	return list
}
