package domain

import (
	"fmt"
	"slices"
	"strings"
)

// unprintable reports whether a character moves a cursor or ends a line, without being one of the control characters
// below U+0020. These were refused all along; what is stored may have unprintable ones, and they stay while it is left
// as it is.
func unprintable(r rune) bool { return r >= 0x7f && r <= 0x9f || r == '\u2028' || r == '\u2029' }

// Unprintable reports whether a text has a character that is refused in new texts, and may be in stored ones.
func Unprintable(text string) bool { return strings.ContainsFunc(text, unprintable) }

const takeOut = "there is a control character: take it out"

// NewTexts returns the faults of those texts of a calendar that are unprintable, and not as they were before.
func (c Calendar) NewTexts(before Calendar) error {
	var faults Faults
	if Unprintable(c.Description) && c.Description != before.Description {
		faults.add("text_invalid", "/description", takeOut)
	}
	stay := map[string]bool{}
	for _, item := range before.Days {
		stay[item.Reason] = true
	}
	for n, item := range c.Days {
		if Unprintable(item.Reason) && !stay[item.Reason] && len(faults) < MaxFaults {
			faults.add("text_invalid", fmt.Sprintf("/days/%d/reason", n), takeOut)
		}
	}
	return faults.err()
}

// NewTexts returns the faults of those texts of a rule that are unprintable, and not as they were before.
func (r NotificationRule) NewTexts(before NotificationRule) (faults Faults) {
	if Unprintable(r.Description) && r.Description != before.Description {
		faults.add("text_invalid", "/description", takeOut)
	}
	for _, patterns := range []struct {
		member   string
		is, were []string
	}{{"names", r.Names, before.Names}, {"tags", r.Tags, before.Tags}, {"tasks", r.Tasks, before.Tasks}} {
		for n, p := range patterns.is {
			if Unprintable(p) && !slices.Contains(patterns.were, p) {
				faults.add("text_invalid", fmt.Sprintf("/%s/%d", patterns.member, n), takeOut)
			}
		}
	}
	return faults
}
