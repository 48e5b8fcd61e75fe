package pages

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// changeLine shows an event of a schedule by the members that it changed.
type changeLine struct {
	catalog.Change
	When  Moment
	What  string
	Name  string
	Page  string // the address of the page of the changed object; empty if it has none
	Diffs []diff

	Revert string // the address that the form posts to in order to go back to this version; empty if that is not offered
	Read   int64  // the current version of the schedule, which the form expects
}

// diff is a member of the definition that an event changed.
type diff struct{ Member, Before, After string }

// changeWords maps an event type to the word that the page uses.
var changeWords = map[domain.EventType]string{
	domain.ScheduleCreated: "created", domain.ScheduleUpdated: "changed", domain.ScheduleDeleted: "deleted",
	domain.ScheduleEnabled: "enabled", domain.ScheduleDisabled: "disabled", domain.ScheduleInvalidated: "found invalid",
	domain.ScheduleCompleted: "completed", domain.CalendarUpdated: "calendar changed",
	domain.CalendarDeleted: "calendar deleted", domain.RouteSet: "route set", domain.RouteDeleted: "route deleted",
	domain.RuleSet: "notification rule set", domain.RuleDeleted: "notification rule deleted",
}

// changePages has the pages for events about other things than schedules. Notification rules have none.
var changePages = map[domain.EventType]string{
	domain.CalendarUpdated: "/calendars", domain.CalendarDeleted: "/calendars",
	domain.RouteSet: "/system/routes", domain.RouteDeleted: "/system/routes",
	domain.RuleSet: "", domain.RuleDeleted: "",
}

// changeLines compares each event with the previous one of the same schedule, if that is among them.
func (v *view) changeLines(all []catalog.Change) (lines []changeLine) {
	for i, c := range all {
		line := changeLine{Change: c, When: v.at(c.At, ""), What: string(c.Type)}
		if word, ok := changeWords[c.Type]; ok {
			line.What = v.T(word)
		}
		now := members(c.Data)
		line.Name = cmp.Or(text(now["name"]), text(now["pattern"]))
		var other bool
		if line.Page, other = changePages[c.Type]; !other {
			line.Page = "/schedules/" + c.Schedule.String()
		}
		for _, before := range all[i+1:] {
			if before.Schedule == c.Schedule && before.Version == c.Version-1 {
				line.Diffs = diffs(members(before.Data), now)
				break
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// ofItself are the members that every event changes; they are not shown.
var ofItself = []string{"version", "updated_at", "effective_from", "trigger_set_at"}

// members returns the members of a JSON object, or none if it cannot be read.
func members(raw json.RawMessage) map[string]json.RawMessage {
	var all map[string]json.RawMessage
	_ = json.Unmarshal(raw, &all) // an event that was written by hand may not be an object: then nothing is shown
	return all
}

func diffs(before, after map[string]json.RawMessage) (all []diff) {
	names := maps.Clone(before)
	if names == nil {
		names = map[string]json.RawMessage{}
	}
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !slices.Contains(ofItself, name) && !bytes.Equal(compact(before[name]), compact(after[name])) {
			all = append(all, diff{name, text(before[name]), text(after[name])})
		}
	}
	return all
}

func compact(raw json.RawMessage) []byte {
	var out bytes.Buffer
	if json.Compact(&out, raw) != nil {
		return raw
	}
	return out.Bytes()
}

const mostDiff = 2_000

// text returns a JSON value for display: a string without its quotes, anything else compact.
func text(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		s = string(compact(raw))
	}
	if len(s) > mostDiff {
		s = fmt.Sprintf("%.*s…", mostDiff, s)
	}
	return s
}
