package importer

import "fmt"

// maxKept bounds the memory of all entries that are read together, as the files of other sources are bounded.
const (
	maxKept   = 64 << 20
	entryKept = 1 << 10 // of each entry, besides its documents
)

// budget is what has been kept so far.
type budget int

// keep takes the documents of one more entry in, or refuses them.
func (b *budget) keep(bytes int) error {
	if *b += budget(bytes + entryKept); *b > maxKept {
		return fmt.Errorf("its entries come to more than %d MiB together: bring in a part at a time", maxKept>>20)
	}
	return nil
}
