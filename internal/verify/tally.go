package verify

import (
	"iter"

	"github.com/tactus-dev/tactus/domain"
)

// tally is what the check keeps of one schedule. Versions count from 1; 0 means none.
type tally struct {
	content uint64 // the sum of the hashes of its entries of the newest epoch, less those of the same events in Postgres
	row     uint64 // fingerprint of its row in tactus.schedules

	high, low  uint32 // in the stream: the newest version, and the oldest that can be reached from it
	newestLow  uint32 // the oldest version of its newest epoch
	walk       uint32 // the oldest version met of the epoch that is being read
	last       uint32 // in the log
	published  uint32 // the newest that the relay has published
	trimmed    uint32 // the newest that is older than the stream's oldest entry
	rowVersion uint32
	newest     uint16 // epoch of high; epochs are counted back from the end of the stream
	epoch      uint16 // epoch of walk
	odd        bool   // a version is missing, twice or out of order, so content proves nothing
}

// span is a range of versions that were passed over on the way back through the stream.
type span struct {
	from, to uint32
	epoch    uint16
}

// tallies keeps a tally for each schedule, in blocks, so that growing to a million needs no copying.
type tallies struct {
	index  map[domain.ID]uint32
	blocks []*[blockSize]tally
	spans  map[domain.ID][]span // few, unless events are lost
}

const blockSize = 4096

func newTallies() *tallies {
	return &tallies{index: map[domain.ID]uint32{}, spans: map[domain.ID][]span{}}
}

func (ts *tallies) of(id domain.ID) *tally {
	n, known := ts.index[id]
	if !known {
		n = uint32(len(ts.index))
		ts.index[id] = n
		if n%blockSize == 0 {
			ts.blocks = append(ts.blocks, new([blockSize]tally))
		}
	}
	return &ts.blocks[n/blockSize][n%blockSize]
}

func (ts *tallies) all() iter.Seq2[domain.ID, *tally] {
	return func(yield func(domain.ID, *tally) bool) {
		for id, n := range ts.index {
			if !yield(id, &ts.blocks[n/blockSize][n%blockSize]) {
				return
			}
		}
	}
}

// passOver records versions that were not where they should be. They may come later, out of order.
func (ts *tallies) passOver(id domain.ID, s span) {
	if s.from <= s.to {
		ts.spans[id] = append(ts.spans[id], s)
	}
}

// take removes a version from the spans of an epoch, and reports whether it was in one.
func (ts *tallies) take(id domain.ID, version uint32, epoch uint16) bool {
	for i, s := range ts.spans[id] {
		if s.epoch != epoch || version < s.from || s.to < version {
			continue
		}
		ts.spans[id][i].to = version - 1
		ts.passOver(id, span{version + 1, s.to, epoch})
		return true
	}
	return false
}
