package importer

import (
	"regexp"
	"strconv"
	"strings"
)

// cronItem is an item of a list as cron reads it: * or a range, either with a step, or a value.
var cronItem = regexp.MustCompile(`^(?i:\*|[0-9]+|[a-z]{3}|(?:[0-9]+|[a-z]{3})-(?:[0-9]+|[a-z]{3}))(/[0-9]+)?$`)

// cronRefuses returns the field for which cron itself refuses a line, or an empty text. tactus reads more: L, W, #, ?,
// ranges that go round, and steps behind a single value.
func cronRefuses(when string) string {
	if strings.HasPrefix(when, "@") {
		return ""
	}
	for field := range strings.FieldsSeq(when) {
		for item := range strings.SplitSeq(field, ",") {
			span, _, stepped := strings.Cut(item, "/")
			first, second, ranged := strings.Cut(span, "-")
			from, errFrom := strconv.Atoi(first)
			to, errTo := strconv.Atoi(second)
			if !cronItem.MatchString(item) || stepped && !ranged && span != "*" ||
				ranged && errFrom == nil && errTo == nil && from > to {
				return field
			}
		}
	}
	return ""
}
