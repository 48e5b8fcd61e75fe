package pages

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// backfillsShown is how many backfills the page of a schedule shows.
const backfillsShown = 5

// backfillLine is a backfill on the page of its schedule.
type backfillLine struct {
	catalog.Backfill
	State    state
	From, To string // in the schedule's zone
	Done     int    // due times that it has finished
	Says     string
	Runs     string // address of the list of its runs
}

// backfillPlan is what a backfill would do.
type backfillPlan struct{ Says, LeftOut string }

// backfillMarks maps the state of a backfill to how a page shows it.
var backfillMarks = map[string]state{
	"running":   {"▶\ufe0e", "running", ""},
	"completed": {"✓", "completed", ""},
	"cancelled": {"✕", "cancelled", "attention"},
	"failed":    {"✕", "failed", "trouble"},
}

// backfillLines returns the newest backfills of a schedule.
func (v *view) backfillLines(e catalog.Entry) (lines []backfillLine, err error) {
	found, _, err := v.Catalog.Backfills(v.ctx(), e.ID, catalog.LastBackfill, backfillsShown)
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		line := backfillLine{Backfill: f, State: backfillMarks[f.State], Done: f.Total - f.Remaining}
		line.State.Word = v.T(line.State.Word)
		line.From, line.To = v.at(f.From, e.Timezone).Clock, v.at(f.To, e.Timezone).Clock
		said := []string{f.Actor}
		for _, text := range []*string{f.Reason, f.EndReason} {
			if text != nil && *text != "" {
				said = append(said, *text)
			}
		}
		line.Says = strings.Join(append(said, v.leftOut(f.LeftOut)...), " · ")
		line.Runs = "/runs?" + url.Values{"schedule": {e.ID.String()}, "kind": {string(domain.Backfill)}}.Encode()
		lines = append(lines, line)
	}
	return lines, nil
}

// leftOut says which due times a backfill does not run, and why.
func (v *view) leftOut(l domain.LeftOut) (said []string) {
	add := func(text string, n int) {
		if n > 0 {
			said = append(said, v.T(text, strconv.Itoa(n)))
		}
	}
	add("%s ran already", l.Ran)
	add("%s were skipped by hand", l.Skipped)
	add("%s are excluded by calendars", l.Excluded)
	return said
}

// backfill starts a backfill; for a dry run it shows what the backfill would do.
func (s *site) backfill(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	form := func(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }
	active, err := strconv.Atoi(cmp.Or(form("max_active"), "1"))
	if err != nil {
		return s.refused(v, id, "backfill", &domain.Error{
			Kind: domain.Invalid, Code: "type_invalid", Field: "/max_active", Message: v.T("want a number"),
		})
	}
	ask := domain.BackfillRequest{
		From: form("from"), To: form("to"), ExecutionPolicy: form("execution_policy"), Order: form("order"), MaxActive: &active,
		Again: form("again") != "", Reason: form("reason"), DryRun: form("dry_run") != "",
	}
	_, plan, err := v.Store.Backfill(v.because(ask.Reason), id, ask, s.RunRetention, v.r.PostFormValue("key"))
	if err != nil {
		return s.refused(v, id, "backfill", err)
	}
	if !ask.DryRun {
		return v.did(id, "backfilled")
	}
	return s.planned(v, id, plan)
}

// planned shows the page of a schedule again, with the form as it was typed and what the backfill would do.
func (s *site) planned(v *view, id domain.ID, plan domain.BackfillPlan) error {
	d, err := s.scheduleData(v, id)
	if err != nil {
		return err
	}
	d.Refused, v.self = typed(v, "backfill"), "/schedules/"+id.String()
	d.Plan = &backfillPlan{Says: v.T("Nothing would run."), LeftOut: strings.Join(v.leftOut(plan.LeftOut), " · ")}
	if n := len(plan.DueTimes); n > 0 {
		first, last := plan.DueTimes[0], plan.DueTimes[n-1]
		d.Plan.Says = v.T("%s would run, from that of %s to that of %s.", strconv.Itoa(n), v.clock(first, d.Timezone), v.clock(last, d.Timezone))
	}
	v.render(200, "schedule", d)
	return nil
}

func (v *view) clock(t time.Time, zoneName string) string { return v.at(t, zoneName).Clock }

// cancelBackfill cancels a backfill of a schedule.
func (s *site) cancelBackfill(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	backfill, err := domain.ParseID(v.r.PathValue("backfill"))
	if err != nil {
		return domain.ErrBackfillNotFound
	}
	if _, err := v.Store.CancelBackfill(v.ctx(), backfill); err != nil {
		return err
	}
	return v.redirect(fmt.Sprintf("/schedules/%s?did=cancelled", id))
}
