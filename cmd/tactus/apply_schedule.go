package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// planSchedule has the server compare a schedule. If its file does not mention enabled, the schedule stays enabled or
// disabled as it is.
func (c applyCmd) planSchedule(ctx context.Context, i item, calendars []string, one *step) ([]*domain.Error, error) {
	one.path, one.body = "/schedules/by-name/"+url.PathEscape(i.Name), i.body()
	invalid, refusals, err := c.compareWith(ctx, i, calendars, one)
	if err != nil || len(refusals) > 0 {
		return refusals, err
	}
	if _, said := i.members["enabled"]; !said && one.Outcome == "change" {
		one.Changes = slices.DeleteFunc(one.Changes, func(m catalog.MemberChange) bool {
			if m.Member == "enabled" {
				i.members["enabled"] = m.Before
			}
			return m.Member == "enabled"
		})
		if one.body = i.body(); i.members["enabled"] != nil && len(one.Changes) == 0 {
			one.Outcome = "same"
		}
	}
	if len(invalid) > 0 && one.Outcome != "same" {
		return invalid, nil
	}
	for _, f := range invalid {
		one.Invalid = append(one.Invalid, i.place.at(f.Field)+": "+i.Name+" is invalid as it stands, and stays so: "+f.Error())
	}
	return c.othersOwn(i, one.Changes), nil
}

// compareWith asks the server what putting a schedule would change, and why the schedule is invalid if it is stored in
// this form already. The schedule may name calendars that the server does not know yet because the same files describe
// them; the server is then asked about the other members.
func (c applyCmd) compareWith(
	ctx context.Context, i item, calendars []string, one *step,
) (invalid, refusals []*domain.Error, err error) {
	answer, err := c.call(ctx, http.MethodPost, "/schedules/compare", json.RawMessage(i.body()))
	refused, ok := errors.AsType[*refusal](err)
	if ok {
		coming := slices.DeleteFunc(slices.Clone(refused.faults), func(f *domain.Error) bool {
			return f.Code != domain.CodeCalendarUnknown || !slices.Contains(calendars, i.text(f.Field))
		})
		if len(coming) == 0 || len(coming) < len(refused.faults) {
			return nil, slices.DeleteFunc(refused.faults, func(f *domain.Error) bool {
				return slices.Contains(coming, f)
			}), nil
		}
		member, _, _ := strings.Cut(strings.TrimPrefix(coming[0].Field, "/"), "/")
		answer, err = c.call(ctx, http.MethodPost, "/schedules/compare", json.RawMessage(i.body(member, "on_excluded")))
		one.Changes = []catalog.MemberChange{
			{Member: member, Before: json.RawMessage("null"), After: i.members[member]},
		}
	}
	if err != nil {
		return nil, nil, err
	}
	var compared struct {
		Outcome string
		Changes []catalog.MemberChange
		Invalid []struct{ Code, Location, Message string }
	}
	if err := json.Unmarshal(answer, &compared); err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	for _, f := range compared.Invalid {
		invalid = append(invalid, &domain.Error{Code: f.Code, Field: f.Location, Message: f.Message})
	}
	if one.Changes = append(one.Changes, compared.Changes...); compared.Outcome == "same" && len(one.Changes) > 0 {
		compared.Outcome = "change"
	}
	one.Outcome = compared.Outcome
	return invalid, nil, nil
}

// othersOwn returns a fault if the changes would take a schedule away from another source.
func (c applyCmd) othersOwn(i item, changes []catalog.MemberChange) []*domain.Error {
	for _, m := range changes {
		var tags []string
		if m.Member != "tags" || json.Unmarshal(m.Before, &tags) != nil {
			continue
		}
		for _, tag := range tags {
			owner, of := strings.CutPrefix(tag, sourceTag)
			if of && owner != c.Source && !slices.Contains(i.tags(), tag) {
				return othersFault(schedulesMember, owner)
			}
		}
	}
	return nil
}

func (i item) tags() (tags []string) {
	_ = json.Unmarshal(orNull(i.members["tags"]), &tags) // checkItem has decoded them before
	return tags
}

// text returns the text at a JSON pointer such as /exclude_calendars/0.
func (i item) text(pointer string) string {
	member, nth, _ := strings.Cut(strings.TrimPrefix(pointer, "/"), "/")
	var list []string
	n := 0
	_ = json.Unmarshal(orNull(i.members[member]), &list) // no text if it is not a list
	if _, err := fmt.Sscan(nth, &n); err != nil || n >= len(list) {
		return ""
	}
	return list[n]
}
