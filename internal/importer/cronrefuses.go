package importer

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// cronItem is an item of a list as cron reads it: * or a range, either with a step, or a value.
var cronItem = regexp.MustCompile(`^(?i:\*|[0-9]+|[a-z]{3}|(?:[0-9]+|[a-z]{3})-(?:[0-9]+|[a-z]{3}))(/[0-9]+)?$`)

// cronRefuses tells why cron never runs a line, or is empty. tactus reads more: L, W, #, ?, ranges that go round, and
// steps behind a single value. Of a range that goes round Debian's cron makes no time at all.
func cronRefuses(when string) string {
	if strings.HasPrefix(when, "@") {
		return ""
	}
	const never = "it never runs the line; tactus would run it"
	for field := range strings.FieldsSeq(when) {
		for item := range strings.SplitSeq(field, ",") {
			span, _, stepped := strings.Cut(item, "/")
			first, second, ranged := strings.Cut(span, "-")
			if !cronItem.MatchString(item) || stepped && !ranged && span != "*" {
				return fmt.Sprintf("cron refuses %q (and with it, in /etc/cron.d, the whole file): %s", field, never)
			}
			if ranged && cronNumber(first) > cronNumber(second) {
				return fmt.Sprintf("cron takes %q, a range that goes round, for no time, or refuses it: %s",
					field, never)
			}
		}
	}
	return ""
}

// cronNames are the names of months and of days of the week in their order, with the numbers that cron gives them:
// Sunday is 0 under its name.
var cronNames = map[string]int{
	"jan": 1, "feb": 2, "mar": 3, "apr": 4, "may": 5, "jun": 6, "jul": 7, "aug": 8,
	"sep": 9, "oct": 10, "nov": 11, "dec": 12,
	"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6,
}

// cronNumber returns the number that a number or a name stands for.
func cronNumber(text string) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return cronNames[strings.ToLower(text)]
}
