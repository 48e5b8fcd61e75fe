package memory

import (
	"errors"

	"github.com/tactus-dev/tactus/domain"
)

// ErrBeyond is the error of a row that has a time outside of the years 1 to 9999.
var ErrBeyond = errors.New("a time in the row lies beyond the years 1 to 9999")

// Row is what a beat reads of a schedule. Trigger and Policy are only valid until the next row is read.
type Row struct {
	ID        domain.ID
	Version   int64
	Effective Micros // effective_from: due times count after it
	Anchor    Micros // the instant from which an interval counts, or at which a schedule is due once
	Updated   Micros // when this version was written
	Read      Micros // when the row was read
	Weight    int64  // of the task, in bytes
	Beyond    bool   // one of the times lies outside of the years 1 to 9999, and was set to the year 1
	Exhausted bool   // the schedule has used up its runs; an edit may raise max_runs
	Trigger   []byte // canonical, as the domain writes it
	Policy    []byte // canonical, as the domain writes it
}
