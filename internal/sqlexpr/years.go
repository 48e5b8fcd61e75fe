package sqlexpr

import "strings"

// The years that JSON has, and every program reads. A column of PostgreSQL holds more: infinity, and what somebody
// wrote by hand.
const (
	earliest = `timestamptz '0001-01-01 00:00:00+00'`
	latest   = `timestamptz '9999-12-31 23:59:59.999999+00'`
)

// InYears is the SQL of a column of times, drawn to the nearest end of the years 1 to 9999 where it lies beyond them.
// PostgreSQL calls a case after the column in its last branch, and order by takes that for the column: here the last
// branch has none.
func InYears(column string) string {
	return strings.NewReplacer("$", column).Replace(
		`case when $ is null or $ between ` + earliest + ` and ` + latest + ` then $ when $ < ` + earliest + ` then ` + earliest + ` else ` + latest + ` end`)
}

// BeyondYears is an SQL condition: one of the columns is infinite, or lies beyond the years 1 to 9999.
func BeyondYears(columns ...string) string {
	each := make([]string, len(columns))
	for i, column := range columns {
		each[i] = column + ` < ` + earliest + ` or ` + column + ` > ` + latest
	}
	return `(` + strings.Join(each, ` or `) + `)`
}

// NotInYears is why a schedule is invalid that has such a time.
const NotInYears = "a time in its row lies beyond the years 1 to 9999: somebody changed the row by hand; tactus rebuild --swap puts it right"
