package beat

import (
	"fmt"
	"math"

	"github.com/anishathalye/porcupine"

	"github.com/tactus-dev/tactus/beat/memory"
)

// These are the operations of beats on PostgreSQL, and its answers. A history of concurrent operations must be
// explained by some sequential order of them.
type (
	// asksLease: a beat asks for the lease, with the term that it believes to hold.
	asksLease struct {
		holder string
		epoch  int64
		now    memory.Micros
	}
	leaseAnswer struct {
		mine  bool
		epoch int64 // when it is mine
	}
	// givesUp is giveUpLease, which tells nothing.
	givesUp asksLease
	// fires is fireDue, with the numbers of due times.
	fires struct {
		epoch int64
		due   []int
	}
	fireAnswer struct {
		held     bool
		recorded int
	}
)

// owned is the state of PostgreSQL: who owns which term until when, and which due times have fired.
type owned struct {
	holder  string
	epoch   int64
	expires memory.Micros
	fired   [16]uint64
}

const mostDueTimes = 16 * 64

// ownerModel says that a term has one owner, which may fire until another beat takes the lease; that no beat takes the
// lease before it has run out or was given up; and that a due time is recorded once, whoever fires it.
var ownerModel = porcupine.Model{
	Init: func() any { return owned{expires: math.MinInt64} },
	Step: func(state, input, output any) (bool, any) {
		s := state.(owned)
		switch in := input.(type) {
		case asksLease:
			return s.asked(in, output.(leaseAnswer))
		case givesUp:
			if s.holder == in.holder && s.epoch == in.epoch {
				s.expires = in.now
			}
			return true, s
		case fires:
			return s.fire(in, output.(fireAnswer))
		}
		return false, s
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%T%[1]v: %v", input, output) },
}

func (s owned) asked(in asksLease, out leaseAnswer) (bool, any) {
	switch {
	case s.holder == in.holder && s.epoch == in.epoch:
	case s.expires <= in.now:
		s.holder, s.epoch = in.holder, s.epoch+1
	default:
		return out == leaseAnswer{}, s
	}
	s.expires = in.now + leaseTime.Microseconds()
	return out == leaseAnswer{mine: true, epoch: s.epoch}, s
}

func (s owned) fire(in fires, out fireAnswer) (bool, any) {
	if s.epoch != in.epoch {
		return out == fireAnswer{}, s
	}
	recorded := 0
	for _, n := range in.due {
		word, bit := n/64, uint64(1)<<(n%64)
		if s.fired[word]&bit == 0 {
			s.fired[word] |= bit
			recorded++
		}
	}
	return out == fireAnswer{held: true, recorded: recorded}, s
}
