package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/outbox"
)

// markOther adds the source to a calendar, a route or a notification rule.
func (c applyCmd) markOther(i *item, faults *wrong) {
	var said *string
	if c.Source == "" || json.Unmarshal(orNull(i.members["source"]), &said) != nil {
		return // checkItem reports what is no text
	}
	if said != nil && *said != c.Source {
		faults.add(i.place.at("/source"), "%s: it says that it is of the source %q", i.Name, *said)
		return
	}
	i.members["source"], _ = json.Marshal(c.Source) // strings always encode
}

// ofOthers refuses a change of what is of another source. What a file leaves out of wanted stays as it is kept, and an
// empty source says that it is of none any more.
func (c applyCmd) ofOthers(kind string, kept *string, wanted **string) error {
	switch said := *wanted; {
	case said != nil && *said == "":
		*wanted = nil
	case kept != nil && (said == nil || *said != *kept):
		return &refusal{faults: othersFault(kind, *kept)}
	}
	return nil
}

// othersFault says that what has the name is of another source.
func othersFault(kind, owner string) []*domain.Error {
	return []*domain.Error{{Code: "other_source", Field: "/name", Message: fmt.Sprintf(
		"a %s of this name comes from the source %s: apply it with --source %[2]s, or give this one another name",
		one(kind), owner)}}
}

// gone returns steps that delete what is of the source and in no file. Schedules come first, because nobody deletes a
// calendar that a schedule uses.
func (c applyCmd) gone(ctx context.Context, items []item, routes map[string]outbox.KeptRoute) (steps []step, err error) {
	kept := map[[2]string]bool{}
	for _, i := range items {
		kept[[2]string{i.Kind, strings.TrimSpace(i.Name)}] = true
	}
	end := func(kind, name, path string) {
		if !kept[[2]string{kind, name}] {
			steps = append(steps, step{Kind: kind, Name: name, Outcome: "delete", method: http.MethodDelete, path: path})
		}
	}
	all := 0
	err = c.everySchedule(ctx, url.Values{"tag": {sourceTag + c.Source}}, func(s catalog.Entry) {
		all++
		end(schedulesMember, s.Name, "/schedules/"+s.ID.String())
	})
	if err != nil {
		return nil, err
	}
	if all > 0 && !slices.ContainsFunc(items, func(i item) bool { return i.Kind == schedulesMember }) {
		return nil, usage("the files have no schedules: --prune would delete all of the source %s, which is done by: tactus schedule "+
			"bulk delete --tag %s", c.Source, sourceTag+c.Source)
	}
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if of := contentOf(routes[pattern]).Source; of != nil && *of == c.Source {
			end(routesMember, pattern, pathOf(routesMember)+url.PathEscape(pattern))
		}
	}
	for _, kind := range []string{calendarsMember, rulesMember} {
		err := c.everySourced(ctx, kind, func(name string, source *string) {
			if source != nil && *source == c.Source {
				end(kind, name, pathOf(kind)+url.PathEscape(name))
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// everySourced calls each with the name and the source of every calendar, or notification rule.
func (c clientFlags) everySourced(ctx context.Context, kind string, each func(name string, source *string)) error {
	return c.everyPage(ctx, kind, func(raw json.RawMessage) error {
		var one struct {
			Name   string
			Source *string
		}
		err := json.Unmarshal(raw, &one)
		each(one.Name, one.Source)
		return err
	})
}

// everyPage calls each with every calendar, or notification rule, as the server sends it.
func (c clientFlags) everyPage(ctx context.Context, kind string, each func(json.RawMessage) error) error {
	const size = 100
	for page := 1; ; page++ {
		answer, err := c.call(ctx, http.MethodGet,
			fmt.Sprintf("%s?per_page=%d&page=%d", strings.TrimSuffix(pathOf(kind), "/"), size, page), nil)
		if err != nil {
			return err
		}
		var members map[string]json.RawMessage
		var some []json.RawMessage
		if err = json.Unmarshal(answer, &members); err == nil {
			err = json.Unmarshal(members[kind], &some)
		}
		if err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		for _, raw := range some {
			if err := each(raw); err != nil {
				return err
			}
		}
		if len(some) < size {
			return nil
		}
	}
}
