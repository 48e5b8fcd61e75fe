package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/oldbeat"
	"github.com/tactus-dev/tactus/outbox"
)

// Row is what importing does to one schedule.
type Row struct {
	Name    string   `json:"name"`
	Change  string   `json:"change" enum:"new,changed,same,refused,gone"`
	Reason  string   `json:"reason,omitempty" doc:"Why it is refused."`
	Changes []string `json:"changes,omitempty" doc:"The members that change."`
	Notes   []string `json:"notes,omitempty" doc:"Remarks about what was not imported, or imported differently."`
	Trigger string   `json:"trigger"`
	Queue   string   `json:"queue,omitempty" doc:"Where its tasks go: a queue, or exchange/routing key."`
	QueueBy string   `json:"queue_by,omitempty" enum:"schedule,route,default,stream" doc:"What says so."`
	oldbeat.Comparison
	id         domain.ID
	definition domain.Definition
	stays      bool // whether there is a schedule from this source already
}

// Importer writes the entries of one source to a database.
type Importer struct {
	pool     *pgxpool.Pool
	source   Source
	timezone string
	accept   map[string]bool
}

// New returns an importer on a pool that the caller closes. timezone is the zone of entries that name none. accept
// lists the kinds of differences despite which an entry is imported ([AcceptAll]: all).
func New(pool *pgxpool.Pool, source Source, timezone string, accept ...string) *Importer {
	i := &Importer{pool, source, timezone, map[string]bool{}}
	for _, kind := range accept {
		i.accept[kind] = true
	}
	return i
}

// AcceptAll stands for every kind of difference.
const AcceptAll = "all"

// Kinds lists the kinds of differences between what the old beat does with an entry and what tactus will do.
var Kinds = []string{
	AcceptAll, "args", "callbacks", "celery_refuses", "cron_refuses", "dst", "eager", "eta", "exchange", "expired",
	"expires", "headers", "hooks", "ignore_result", "instants", "limits", "options", "overdue", "past", "priority", "queue", "scheduler", "serializer", "shadow", "zone",
}

// Plan compares entries with the existing schedules, by name. A schedule with the source's tag that is not among the
// entries is gone from the source.
func (i *Importer) Plan(ctx context.Context, entries []Entry, now time.Time) (rows []Row, err error) {
	made, err := i.made(ctx)
	if err != nil {
		return nil, err
	}
	entries = slices.Clone(entries)
	if err := i.name(ctx, entries, made); err != nil {
		return nil, err
	}
	planned, known := map[string]bool{}, map[string]bool{}
	for _, s := range made {
		known[s.Name] = true
	}
	for _, e := range entries {
		row, err := i.plan(ctx, e, now)
		if err != nil {
			return nil, fmt.Errorf("plan %s: %w", e.Definition.Name, err)
		}
		row.stays = known[row.Name]
		if planned[row.Name] {
			row.refuse("name_taken at /name: another entry has this name")
		}
		planned[row.Name] = planned[row.Name] || e.Refused == ""
		rows = append(rows, row)
	}
	for _, s := range made {
		if !planned[s.Name] {
			rows = append(rows, Row{Name: s.Name, Change: "gone", Trigger: oldbeat.Words(s.Definition), id: s.ID})
		}
	}
	return rows, nil
}

func (r *Row) refuse(reason string) { r.Change, r.Reason = "refused", reason }

// Remains counts the schedules that are gone from their source, and those from it that would be left without them. A
// schedule whose entry is refused is left as it is.
func Remains(rows []Row) (gone, left int) {
	for _, r := range rows {
		switch {
		case r.Change == "gone":
			gone++
		case r.Change != "refused" || r.stays:
			left++
		}
	}
	return gone, left
}

// plan compares one entry with the schedule of its name.
func (i *Importer) plan(ctx context.Context, e Entry, now time.Time) (Row, error) {
	d := e.Definition
	d.Tags = append(slices.Clone(d.Tags), i.source.Tag())
	row := Row{Name: d.Name, Notes: e.Notes, Trigger: oldbeat.Words(d)}
	if e.Refused != "" {
		row.refuse(e.Refused)
		return row, nil
	}
	in := domain.Context{ID: outbox.NewID(), Timezone: i.timezone, Now: now, Check: handover.Limits{}.Check}
	before, err := outbox.GetByName(ctx, i.pool, d.Name)
	switch {
	case err == nil && (before.ManagedBy != "" || !slices.Contains(before.Tags, i.source.Tag())):
		row.refuse("name_taken at /name: a schedule of this name is there that did not come from here: rename one " +
			"of them")
		return row, nil
	case err == nil:
		in.ID, in.Previous = before.ID, &before.Definition
		if before.IntervalSeconds == d.IntervalSeconds && (e.continued || !e.LastRun.IsZero()) {
			d.IntervalAnchor = "" // keeps the phase that the schedule has
		}
	case !errors.Is(err, domain.ErrNotFound):
		return row, err
	}
	if row.definition, _, err = d.Normalize(in); err != nil {
		row.refuse(err.Error())
		return row, nil
	}
	if size := size(row.definition); size > domain.MaxPayload {
		row.refuse(domain.TooLong(size).Error())
		return row, nil
	}
	if err := row.compare(before, e, now); err != nil {
		return row, err
	}
	i.judge(&row)
	return row, nil
}

// size returns how many bytes a definition has as JSON.
func size(d domain.Definition) int {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return 0 // it is refused for what it is
	}
	return b.Len()
}

// judge refuses a row that would run differently, unless the difference is accepted. A schedule that is imported
// already stays.
func (i *Importer) judge(r *Row) {
	if why := i.refusal(r.Differences); why != "" && r.Change != "same" {
		r.refuse(why)
	}
}

// mostReasons is how many differences of one entry a refusal names.
const mostReasons = 50

// refusal describes the differences that are not accepted. It returns an empty text when there are none.
func (i *Importer) refusal(differences []oldbeat.Difference) string {
	var kinds, reasons []string
	known := map[string]bool{}
	for _, d := range differences {
		if i.accept[AcceptAll] || i.accept[d.Code] {
			continue
		}
		if !slices.Contains(kinds, d.Code) {
			kinds = append(kinds, d.Code)
		}
		if !known[d.Message] {
			known[d.Message] = true
			reasons = append(reasons, d.Message)
		}
	}
	if more := len(reasons) - mostReasons; more > 0 {
		reasons = append(reasons[:mostReasons], fmt.Sprintf("and %d more", more))
	}
	if len(kinds) == 0 {
		return ""
	}
	return fmt.Sprintf("it would not run as it did: %s: change it at its source, or accept the difference by "+
		"--accept %s", strings.Join(reasons, "; "), strings.Join(kinds, ","))
}

// compare fills in the changes from the existing schedule, and the differences from the old beat.
func (r *Row) compare(before domain.Schedule, e Entry, now time.Time) (err error) {
	r.Change, r.Trigger = "new", oldbeat.Words(r.definition)
	after := domain.Schedule{Definition: r.definition}
	if before.Version > 0 {
		r.Change = "same"
		if change, changed := before.Redefine(r.definition); changed {
			r.Change, after = "changed", change.After
			r.Changes = difference(before.Definition, after.Definition)
		}
	}
	if e.numbered {
		r.Differences = e.Differences
		r.Next, err = oldbeat.Next(after, now)
		return err
	}
	if e.Typed != "" || r.definition.CronExpression == "" {
		release := e.celery
		if e.expected != nil { // Celery itself has told when it is due
			release = oldbeat.Plain
		}
		if r.Comparison, err = oldbeat.Compare(after, e.Typed, release, e.LastRun, now); err != nil {
			return err
		}
	}
	if why := oldbeat.Interval(e.clocks, now); r.definition.IntervalSeconds != 0 && why != "" {
		r.Differences = append(r.Differences, oldbeat.Difference{Code: "dst", Message: why})
	}
	r.Differences = append(r.Differences, e.Differences...)
	if task := e.Definition.TaskName; task != r.definition.TaskName {
		r.Differences = append(r.Differences, oldbeat.SpacesOfTask(task, r.definition.TaskName))
	}
	if e.expected == nil {
		return nil
	}
	return r.expect(*e.expected, after)
}

// expect adds the differences from what Celery itself says that it would do. They replace the general knowledge about
// changes of clocks, which versions of Celery handle differently.
func (r *Row) expect(by expected, after domain.Schedule) error {
	r.NextCelery = nil
	r.Differences = slices.DeleteFunc(r.Differences, func(d oldbeat.Difference) bool { return d.Code == "dst" })
	if len(by.next.Due) > 0 && !r.FromStart {
		r.NextCelery = &by.next.Due[0]
	}
	told := len(r.Differences)
	differ := func(kind, message string) {
		if !slices.ContainsFunc(r.Differences[:told], func(d oldbeat.Difference) bool { return d.Code == kind }) {
			r.Differences = append(r.Differences, oldbeat.Difference{Code: kind, Message: message})
		}
	}
	by.sent.differences(r.definition, differ)
	return by.differences(after, differ)
}

// difference describes the members in which two definitions differ.
func difference(before, after domain.Definition) (changes []string) {
	was, is := members(before), members(after)
	all := maps.Clone(was)
	maps.Copy(all, is)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if string(was[name]) != string(is[name]) {
			changes = append(changes, fmt.Sprintf("%s: %s -> %s", name, shown(was[name]), shown(is[name])))
		}
	}
	return changes
}

func members(d domain.Definition) (m map[string]json.RawMessage) {
	raw, _ := json.Marshal(d) // a normalized definition always encodes and decodes
	_ = json.Unmarshal(raw, &m)
	return m
}

func shown(raw json.RawMessage) string {
	if raw == nil {
		return "none"
	}
	return shorten(string(raw))
}

// longestShown is the most bytes of a member that are shown.
const longestShown = 1000

// shorten cuts a document that is too long to show.
func shorten(text string) string {
	if len(text) <= longestShown {
		return text
	}
	return strings.ToValidUTF8(text[:longestShown], "") + "..."
}

// kept is a schedule that the source has already, without its arguments.
type kept struct {
	domain.Schedule
	time, input string // which distinguish the lines of one command
}

// made returns the schedules that the source has already.
func (i *Importer) made(ctx context.Context) (schedules []kept, err error) {
	for page := 1000; ; {
		entries, _, err := catalog.New(i.pool).List(ctx, catalog.Filter{
			Tags: []string{i.source.Tag()}, Limit: page,
			Offset: len(schedules),
		})
		if fault, ok := errors.AsType[*domain.Error](err); ok && fault.Code == "page_too_large" && page > 1 {
			page /= 2
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			k := kept{Schedule: e.Schedule, time: times(e.Schedule.Definition), input: inputOf(e.Schedule.Definition)}
			k.Args, k.Kwargs, k.TaskParams = nil, nil, nil
			schedules = append(schedules, k)
		}
		if len(entries) < page {
			return schedules, nil
		}
	}
}

// Apply writes the schedules that are new or changed, and with prune deletes those that are gone. It may be repeated
// after an error.
func (i *Importer) Apply(ctx context.Context, rows []Row, prune bool) error {
	store := outbox.NewStore(i.pool, i.timezone, handover.Limits{}.Check)
	for _, r := range rows {
		var err error
		switch {
		case r.Change == "new" || r.Change == "changed":
			_, _, err = store.Put(ctx, r.definition)
		case r.Change == "gone" && prune:
			err = store.Delete(ctx, r.id, 0)
		}
		if err != nil {
			return fmt.Errorf("import %s: %w", r.Name, err)
		}
	}
	return nil
}
