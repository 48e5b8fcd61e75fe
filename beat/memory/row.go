package memory

import "github.com/tactus-dev/tactus/domain"

// row is what the beat reads of a schedule. Its texts are good until the next row is read.
type Row struct {
	ID        domain.ID
	Version   int64
	Effective Micros
	Anchor    Micros
	Updated   Micros
	Read      Micros // when it was read
	Exhausted bool   // max_runs has been reached; it may be raised
	Trigger   []byte
	Policy    []byte
}
