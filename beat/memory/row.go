package memory

import (
	"errors"

	"github.com/tactus-dev/tactus/domain"
)

// ErrBeyond is why a row is invalid that has a time beyond the years 1 to 9999.
var ErrBeyond = errors.New("a time in the row lies beyond the years 1 to 9999")

// Row is what a beat reads of a schedule. Trigger and Policy are valid until the next row is read.
type Row struct {
	ID        domain.ID
	Version   int64
	Effective Micros // effective_from: due times are those after it
	Anchor    Micros // from which an interval counts, or the instant of a schedule that is due once
	Updated   Micros // when this version was written
	Read      Micros // when the row was read
	Weight    int64  // bytes of its task
	Beyond    bool   // one of its times lies beyond the years 1 to 9999; they are drawn to the year 1 then
	Exhausted bool   // the schedule has used up its max_runs, which an edit can raise
	Trigger   []byte // canonical, as the domain writes it
	Policy    []byte // canonical, as the domain writes it
}
