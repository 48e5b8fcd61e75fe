package ledger

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// ID is a place in a sink: the number of a batch, and of a row in it, counted from 1. Row 0 is the place before the
// first row.
type ID struct{ Batch, Seq int64 }

// ParseID parses a text that String has returned.
func ParseID(text string) (ID, error) {
	batch, seq, _ := strings.Cut(text, "-")
	b, errB := strconv.ParseInt(batch, 10, 64)
	s, errS := strconv.ParseInt(seq, 10, 64)
	if errB != nil || errS != nil {
		return ID{}, fmt.Errorf("parse ID %q: want BATCH-PLACE", text)
	}
	return ID{b, s}, nil
}

func (id ID) String() string {
	return strconv.FormatInt(id.Batch, 10) + "-" + strconv.FormatInt(id.Seq, 10)
}

// Compare orders IDs by batch, then by row.
func (id ID) Compare(other ID) int {
	return cmp.Or(cmp.Compare(id.Batch, other.Batch), cmp.Compare(id.Seq, other.Seq))
}
