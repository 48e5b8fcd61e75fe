package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/outbox"
)

// applyCmd makes schedules, calendars and routes on the server equal to those in files.
type applyCmd struct {
	clientFlags
	applicationSource
	File   []string `short:"f" sep:"none" placeholder:"PATH" help:"YAML or JSON file with schedules, calendars, routes and notification rules; a folder of such files, or - for standard input. May be repeated."`
	Diff   bool     `xor:"how" help:"Only print what would change. The exit code is 1 when something would, 2 when the files are wrong."`
	DryRun bool     `xor:"how" help:"Only say what would be done."`
	Source string   `placeholder:"NAME" help:"Where the files come from: what they describe is marked with it (schedules by the tag source:NAME), and what is of other sources is left alone."`
	Prune  bool     `help:"Delete the schedules, calendars, routes and notification rules of the source that are in no file."`
}

// sourceTag begins the tag that marks the schedules of a source.
const sourceTag = "source:"

// step is what apply does to one schedule, calendar or route.
type step struct {
	Kind    string                 `json:"kind"`
	Name    string                 `json:"name"`
	Outcome string                 `json:"outcome"` // create, change, delete, same
	Changes []catalog.MemberChange `json:"changes,omitempty"`
	At      string                 `json:"at,omitempty"`
	Invalid []string               `json:"invalid,omitempty"` // why a schedule that stays as it is cannot be scheduled
	method  string
	path    string
	body    []byte
	always  bool // it is sent even if no change is visible, because secrets are not shown
}

// Run applies files.
func (c applyCmd) Run(ctx context.Context, to console) error {
	if c.Prune && c.Source == "" {
		return usage("--prune deletes what is of one source: name it by --source")
	}
	if len(c.File) == 0 && c.App == "" {
		return usage("nothing is given to apply: name files by -f, or a Celery application by --app")
	}
	items, faults, err := c.read(ctx, to)
	if err != nil {
		return err
	}
	var plain wrong // faults of the schedules themselves, which the server would find, too
	for i := range items {
		c.mark(&items[i], &faults)
		before := len(faults)
		fillIn(&items[i], &faults)
		if items[i].Kind == schedulesMember {
			checkItem(items[i], &plain)
		} else {
			items[i].faulty = checkItem(items[i], &faults) || len(faults) > before
		}
	}
	if len(items) == 0 && len(faults) == 0 {
		return c.nothing()
	}
	steps, refused, err := c.plan(ctx, items, newProgress(to.problems, int64(len(items))))
	if err != nil {
		refused = plain
	}
	if all := append(faults, refused...); len(all) > 0 || err == nil {
		err = faulty(to, all)
	}
	if err != nil {
		return err
	}
	for _, s := range steps {
		for _, why := range s.Invalid {
			say(to.problems, "%s\n", why)
		}
	}
	if c.Diff {
		return c.tellDiff(to, steps)
	}
	return c.carryOut(ctx, to, steps)
}

// read reads the files and what the application declares, and returns the faults of all of them.
func (c applyCmd) read(ctx context.Context, to console) (items []item, faults wrong, err error) {
	r := newReading()
	if items, err = readManifests(c.File, r); err != nil {
		return nil, nil, err
	}
	if c.App != "" {
		declared, err := c.items(ctx, to, r)
		if err != nil {
			return nil, nil, err
		}
		items = append(items, declared...)
	}
	describedOnce(items, &r.wrong)
	return items, r.wrong, nil
}

// faulty prints all faults, and returns an error if there are any.
func faulty(to console, faults wrong) error {
	if len(faults) == 0 {
		return nil
	}
	for _, f := range faults {
		say(to.problems, "%s\n", f)
	}
	return usage("%s; nothing was changed", counted(len(faults), "fault", "faults"))
}

// nothing returns the refusal of files that describe nothing.
func (c applyCmd) nothing() error {
	if c.Source == "" {
		return usage("the files describe nothing")
	}
	return usage("the files describe nothing: the schedules that came from the source %s are deleted by: "+
		"tactus schedule bulk delete --tag %s", c.Source, sourceTag+c.Source)
}

// mark adds the source to what a file describes: to a schedule as a tag.
func (c applyCmd) mark(i *item, faults *wrong) {
	if i.Kind != schedulesMember {
		c.markOther(i, faults)
		return
	}
	var tags []string
	if json.Unmarshal(orNull(i.members["tags"]), &tags) != nil {
		return // checkItem reports it
	}
	for _, tag := range tags {
		if c.Source != "" && strings.HasPrefix(tag, sourceTag) && tag != sourceTag+c.Source {
			faults.add(i.place.at("/tags"), "%s: the tag %s is of another source", i.Name, tag)
		}
	}
	if tag := sourceTag + c.Source; c.Source != "" && !slices.Contains(tags, tag) {
		i.members["tags"], _ = json.Marshal(append(tags, tag)) // strings always encode
	}
}

func orNull(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return json.RawMessage("null")
	}
	return raw
}

// checkItem adds the faults of an item that can be found without the server, and reports whether there are any.
func checkItem(i item, faults *wrong) bool {
	var err error
	switch i.Kind {
	case schedulesMember:
		_, err = domain.Decode(i.body())
	case calendarsMember:
		_, err = domain.DecodeCalendar(i.Name, i.body())
	case rulesMember:
		_, _, err = domain.DecodeNotificationRule(i.Name, i.body())
	case routesMember:
		var r domain.Route
		if err = domain.DecodeInto(i.body("source"), &r); err == nil {
			err = r.Check(nil)
		}
		var of struct{ Source *string }
		if json.Unmarshal(i.body(), &of) != nil {
			err = domain.Join(err, &domain.Error{Code: "type_invalid", Field: "/source", Message: "want a string"})
		}
		err = domain.Join(err, domain.CheckSource(of.Source))
	}
	for _, f := range domain.FaultsOf(err) {
		faults.add(i.place.at(f.Field), "%s: %v", i.Name, f)
	}
	return err != nil
}

// plan compares each item with what the server has, and returns the steps that make them equal. The server itself
// judges the definitions of schedules.
func (c applyCmd) plan(ctx context.Context, items []item, bar *progress) (steps []step, faults wrong, err error) {
	routes, err := c.routes(ctx)
	if err != nil {
		return nil, nil, err
	}
	var described []string // names of calendars
	for _, kind := range manifestKinds {
		for _, i := range items {
			if i.Kind != kind || i.faulty {
				if i.Kind == calendarsMember && kind == i.Kind {
					described = append(described, i.Name) // it will exist, even if its file has a fault
				}
				continue
			}
			one := step{
				Kind: kind, Name: i.Name, At: i.place.at(""), method: http.MethodPut,
				path: pathOf(kind) + url.PathEscape(i.Name),
			}
			var refusals []*domain.Error
			switch kind {
			case calendarsMember:
				described = append(described, i.Name)
				err = c.planCalendar(ctx, i, &one)
			case routesMember:
				err = c.planRoute(i, routes, &one)
			case rulesMember:
				err = c.planRule(ctx, i, &one)
			default:
				refusals, err = c.planSchedule(ctx, i, described, &one)
			}
			if refused, ok := errors.AsType[*refusal](err); ok {
				refusals, err = refused.faults, nil
			}
			if err != nil {
				return nil, nil, err
			}
			for _, f := range refusals {
				faults.add(i.place.at(f.Field), "%s: %v", i.Name, f)
			}
			steps = append(steps, one)
			bar.at(int64(len(steps)))
		}
	}
	if !c.Prune || len(faults) > 0 {
		return steps, faults, nil
	}
	gone, err := c.gone(ctx, items, routes)
	return append(steps, gone...), faults, err
}

// planCalendar compares a calendar with the one on the server.
func (c applyCmd) planCalendar(ctx context.Context, i item, one *step) error {
	one.body = i.body()
	wanted, err := domain.DecodeCalendar(i.Name, one.body)
	if err != nil {
		return err
	}
	var kept domain.Calendar
	answer, err := c.call(ctx, http.MethodGet, one.path, nil)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.status == http.StatusNotFound {
		answer, err = []byte("{}"), nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, &kept); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if err := c.ofOthers(i.Kind, kept.Source, &wanted.Source); err != nil {
		return err
	}
	return one.compare(kept.Version > 0, calendarContent{kept.Description, kept.Source, kept.Days},
		calendarContent{wanted.Description, wanted.Source, wanted.Days})
}

// routes returns the routes on the server by pattern.
func (c applyCmd) routes(ctx context.Context) (map[string]outbox.KeptRoute, error) {
	found := map[string]outbox.KeptRoute{}
	for page := 1; ; page++ {
		answer, err := c.call(ctx, http.MethodGet, fmt.Sprintf("/routes?per_page=1000&page=%d", page), nil)
		if err != nil {
			return nil, err
		}
		var some struct{ Routes []outbox.KeptRoute }
		if err := json.Unmarshal(answer, &some); err != nil {
			return nil, fmt.Errorf("read the answer: %w", err)
		}
		for _, r := range some.Routes {
			found[r.Pattern] = r
		}
		if len(some.Routes) < 1000 {
			return found, nil
		}
	}
}

// routeContent is what a file says of a route.
type routeContent struct {
	domain.Route
	Source *string `json:"source,omitempty"`
}

// contentOf is what may stand in a file of a route that the server has. One that is of an import is of no files.
func contentOf(kept outbox.KeptRoute) routeContent {
	if kept.Source == "" || strings.HasPrefix(kept.Source, importer.SourcePrefix) {
		return routeContent{kept.Route, nil}
	}
	return routeContent{kept.Route, &kept.Source}
}

func (c applyCmd) planRoute(i item, routes map[string]outbox.KeptRoute, one *step) error {
	one.body = i.body("pattern")
	kept, there := routes[i.Name]
	wanted := routeContent{}
	if err := json.Unmarshal(i.body(), &wanted); err != nil {
		return err
	}
	before := contentOf(kept)
	if err := c.ofOthers(i.Kind, before.Source, &wanted.Source); err != nil {
		return err
	}
	return one.compare(there, before, wanted)
}

// compare fills in the members in which after differs from before, and the outcome that follows from that.
func (s *step) compare(there bool, before, after any) error {
	former, err := json.Marshal(before)
	if err != nil {
		return err
	}
	latter, err := json.Marshal(after)
	if err != nil {
		return err
	}
	s.Changes = catalog.Differences(former, latter)
	switch {
	case !there:
		s.Outcome = "create"
	case len(s.Changes) > 0:
		s.Outcome = "change"
	default:
		s.Outcome = "same"
	}
	return nil
}

// everySchedule calls each with every schedule that a query selects.
func (c clientFlags) everySchedule(ctx context.Context, query url.Values, each func(catalog.Entry)) error {
	query.Set("page_size", "200")
	query.Set("sort", "name")
	for {
		answer, err := c.call(ctx, http.MethodGet, "/schedules?"+query.Encode(), nil)
		if err != nil {
			return err
		}
		var page struct {
			Schedules     []catalog.Entry
			NextPageToken string `json:"next_page_token"`
		}
		if err := json.Unmarshal(answer, &page); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		for _, s := range page.Schedules {
			each(s)
		}
		if page.NextPageToken == "" {
			return nil
		}
		query.Set("page_token", page.NextPageToken)
	}
}

// tellDiff prints what would change, and returns an error if anything would.
func (c applyCmd) tellDiff(to console, steps []step) error {
	differ := slices.DeleteFunc(steps, func(s step) bool { return s.Outcome == "same" })
	if !c.tabular() {
		if err := c.showAny(to.out, map[string]any{"steps": differ}); err != nil {
			return err
		}
	} else {
		for _, s := range differ {
			s.print(to)
		}
	}
	if len(differ) > 0 {
		return errReported
	}
	return nil
}

// signs maps an outcome to the sign before its line.
var signs = map[string]string{"create": "+", "change": "~", "delete": "-"}

// print prints a step and the members that it changes.
func (s step) print(to console) {
	at := s.At
	if at != "" {
		at = "  (" + at + ")"
	}
	say(to.out, "%s %s %s%s\n", signs[s.Outcome], one(s.Kind), text(s.Name), at)
	for _, m := range s.Changes {
		if string(m.Before) != "null" {
			say(to.out, "  - %s: %s\n", text(m.Member), m.Before)
		}
		if string(m.After) != "null" {
			say(to.out, "  + %s: %s\n", text(m.Member), m.After)
		}
	}
}

// done maps an outcome to its past tense.
var done = map[string]string{"create": "created", "change": "changed", "delete": "deleted", "same": "unchanged"}

// carryOut carries the steps out. A step that is refused does not stop the others.
func (c applyCmd) carryOut(ctx context.Context, to console, steps []step) error {
	counts := map[string]int{}
	var refused []string
	bar := newProgress(to.problems, int64(len(steps)))
	for n, s := range steps {
		if !c.tabular() { // a line tells of each step
			bar.at(int64(n + 1))
		}
		if (s.Outcome != "same" || s.always) && !c.DryRun {
			var body any
			if s.body != nil {
				body = json.RawMessage(s.body)
			}
			if _, err := c.call(ctx, s.method, s.path, body); err != nil {
				refused = append(refused, fmt.Sprintf("%s: %s %s: %v",
					s.At, one(s.Kind), s.Name, err))
				continue
			}
		}
		counts[s.Outcome]++
		if s.Outcome != "same" && c.tabular() {
			did := done[s.Outcome]
			if c.DryRun {
				did = "would " + s.Outcome
			}
			say(to.out, "%s %s %s\n", did, one(s.Kind), text(s.Name))
		}
	}
	if !c.tabular() {
		told := map[string]any{"dry_run": c.DryRun, "steps": steps, "refused": append([]string{}, refused...)}
		if err := c.showAny(to.out, told); err != nil {
			return err
		}
	}
	sum := "%d created, %d changed, %d deleted, %d unchanged\n"
	if c.DryRun {
		sum = "dry run: %d to create, %d to change, %d to delete, %d unchanged; nothing was changed\n"
	}
	say(to.problems, sum, counts["create"], counts["change"], counts["delete"], counts["same"])
	if len(refused) > 0 {
		return errors.New(strings.Join(refused, "\n"))
	}
	return nil
}

// showAny prints a value as JSON or YAML.
func (c clientFlags) showAny(to io.Writer, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.show(to, raw)
}
