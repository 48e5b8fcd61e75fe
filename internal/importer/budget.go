package importer

import "fmt"

// maxKept is the most bytes of all entries that are read together. A file of another source has the same limit.
const (
	maxKept   = 64 << 20
	entryKept = 1 << 10 // for each entry, in addition to its documents
)

// budget is how many bytes have been kept so far.
type budget int

// keep adds the documents of one more entry, or returns an error when they are too much.
func (b *budget) keep(bytes int) error {
	if *b += budget(bytes + entryKept); *b > maxKept {
		return fmt.Errorf("its entries come to more than %d MiB together: import a part at a time", maxKept>>20)
	}
	return nil
}
