package cron

import "math/bits"

// firstYear is the first that a year field may name.
const firstYear = 1970

// noYear is later than all that is looked for.
const noYear = 1 << 20

// yearSet has a bit for each year from 1970 on, up to 2199.
type yearSet [4]uint64

func (y *yearSet) add(year int) { y[(year-firstYear)/64] |= 1 << ((year - firstYear) % 64) }

func (y *yearSet) has(year int) bool {
	i := year - firstYear
	return i >= 0 && i < 64*len(y) && y[i/64]&(1<<(i%64)) != 0
}

// from is the first of the set that is not before year, or noYear.
func (y *yearSet) from(year int) int {
	for i := max(year-firstYear, 0); i < 64*len(y); i = (i/64 + 1) * 64 {
		if later := y[i/64] >> (i % 64); later != 0 {
			return firstYear + i + bits.TrailingZeros64(later)
		}
	}
	return noYear
}

func (y *yearSet) list() (years []int) {
	for year := y.from(firstYear); year != noYear; year = y.from(year + 1) {
		years = append(years, year)
	}
	return years
}
