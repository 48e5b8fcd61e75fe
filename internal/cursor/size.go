package cursor

// How large a page is: rows of a usual size come many at once, and large ones as many as fit.
const (
	mostRows  = 200
	firstRows = 16
	pageBytes = 4 << 20
)

// Size is how many rows the next page is to have. How large these will be is not known before they come, so a page has
// at most twice as many as the one before it, and none has more than would fit if all were like the largest of the last
// page. The zero Size is that of the first page.
type Size struct{ rows int }

// Rows is how many to ask for.
func (s *Size) Rows() int {
	if s.rows == 0 {
		s.rows = firstRows
	}
	return s.rows
}

// Had takes in how many bytes the largest row of the last page had.
func (s *Size) Had(largest int) {
	s.rows = max(1, min(2*s.Rows(), mostRows, pageBytes/max(1, largest)))
}
