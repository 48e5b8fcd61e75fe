package rrule

import (
	"strings"
	"time"
)

// Canonical is the text as it is stored: DTSTART first and without a zone, which is told beside it, then RRULE, RDATE
// and EXDATE as they were written, in capitals. start stands for a DTSTART that is missing.
func Canonical(text string, start time.Time) string {
	first := "DTSTART:" + start.Format("20060102T150405")
	var rest []string
	for line := range strings.SplitSeq(strings.ToUpper(text), "\n") {
		line = strings.TrimSpace(line)
		head, value, found := strings.Cut(line, ":")
		name, _, _ := strings.Cut(head, ";")
		switch {
		case line == "":
		case !found:
			rest = append(rest, "RRULE:"+strings.TrimSuffix(line, ";"))
		case name == "DTSTART":
			first = "DTSTART:" + strings.TrimSuffix(value, "Z")
		case name == "RRULE":
			rest = append(rest, "RRULE:"+strings.TrimSuffix(value, ";"))
		default:
			rest = append(rest, name+":"+value)
		}
	}
	return strings.Join(append([]string{first}, rest...), "\n")
}

// WithoutStart is a canonical text without its DTSTART.
func WithoutStart(canonical string) string {
	_, rest, _ := strings.Cut(canonical, "\n")
	return rest
}
