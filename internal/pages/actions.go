package pages

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// The actions on a schedule's page. Each is a plain form; a form that is refused is shown again with what was typed.

// refusal is a form that was refused: its name, what was typed, and the faults by field.
type refusal struct {
	Form   string
	Typed  map[string]string
	Faults map[string][]string
	Others []string // faults that belong to no field of the form
}

// Open reports whether the named form is the one that was refused.
func (r refusal) Open(form string) bool { return r.Form == form }

// Of returns what was typed into a field of the refused form; for any other form it returns value.
func (r refusal) Of(form, field, value string) string {
	if r.Form == form {
		return r.Typed[field]
	}
	return value
}

// At returns the faults of a field.
func (r refusal) At(form, field string) []string {
	if r.Form == form {
		return r.Faults[field]
	}
	return nil
}

// forms maps each form on a schedule's page to its fields.
var forms = map[string][]string{
	"pause": {"reason", "until"},
	"skip":  {"count", "reason"},
	"run":   {"args", "kwargs"},

	"backfill": {"from", "to", "execution_policy", "order", "max_active", "again", "reason"},
}

// typed returns a form as it was typed, without any fault yet.
func typed(v *view, form string) refusal {
	r := refusal{form, map[string]string{}, map[string][]string{}, nil}
	for _, field := range forms[form] {
		r.Typed[field] = v.r.PostFormValue(field)
	}
	return r
}

// refused shows the page of a schedule again, with the form and its faults. It returns an error that the form cannot
// show.
func (s *site) refused(v *view, id domain.ID, form string, err error) error {
	faults := domain.FaultsOf(err)
	if faults == nil || faults[0].Kind != domain.Invalid && faults[0].Code != domain.ErrNothingDue.Code {
		return err
	}
	r := typed(v, form)
	for _, f := range faults {
		field := strings.Split(strings.TrimPrefix(f.Field, "/"), "/")[0]
		if f.Code == domain.ErrNothingDue.Code {
			field = "count"
		}
		if _, known := r.Typed[field]; known {
			r.Faults[field] = append(r.Faults[field], f.Message)
		} else {
			r.Others = append(r.Others, f.Message)
		}
	}
	d, err := s.scheduleData(v, id)
	if err != nil {
		return err
	}
	d.Refused, v.self = r, "/schedules/"+id.String()
	v.render(statuses[faults[0].Kind], "schedule", d)
	return nil
}

func (s *site) setEnabled(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	if _, err := v.Store.SetEnabled(v.ctx(), id, 0, true); err != nil {
		return err
	}
	return v.did(id, "enabled")
}

// pause disables a schedule, or replaces the reason and the end of a pause.
func (s *site) pause(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	reason, until := v.r.PostFormValue("reason"), strings.TrimSpace(v.r.PostFormValue("until"))
	ctx := v.because(reason)
	_, err = v.Store.Disable(ctx, id, 0, func(before domain.Schedule, now time.Time) (domain.Pause, error) {
		p, err := before.NewPause(reason, until, now)
		p.By, _ = outbox.ActorOf(ctx)
		return p, err
	})
	if err != nil {
		return s.refused(v, id, "pause", err)
	}
	return v.did(id, "disabled")
}

// skip skips the next due times. The count is in the form, or in the address when the link that undoes it was followed.
func (s *site) skip(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	count, err := strconv.Atoi(strings.TrimSpace(v.r.FormValue("count")))
	if err != nil {
		return s.refused(v, id, "skip", &domain.Error{
			Kind: domain.Invalid, Code: "type_invalid", Field: "/count", Message: v.T("want a number"),
		})
	}
	reason := v.r.PostFormValue("reason")
	ctx := v.because(reason)
	by, _ := outbox.ActorOf(ctx)
	if _, err := v.Store.Skip(ctx, id, 0, count, by, reason); err != nil {
		return s.refused(v, id, "skip", err)
	}
	if count == 0 {
		return v.did(id, "undone")
	}
	return v.did(id, "skipped")
}

// revert gives a schedule the definition of an earlier version, unless it has changed since the page was made.
func (s *site) revert(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	to, err := strconv.ParseInt(v.r.PostFormValue("to"), 10, 64)
	if err != nil || to < 1 {
		return &domain.Error{Kind: domain.Invalid, Code: "version_missing", Field: "/version", Message: v.T("want a number")}
	}
	if _, err := v.Store.Revert(v.because(fmt.Sprintf("revert to version %d", to)), id, v.version(), to); err != nil {
		return err
	}
	return v.did(id, "reverted")
}

// because returns a context that records a reason with each event, if one was given.
func (v *view) because(reason string) context.Context {
	by, given := outbox.ActorOf(v.ctx())
	if reason = strings.TrimSpace(reason); reason == "" {
		reason = given
	}
	return outbox.WithActor(v.ctx(), by, reason)
}

// did redirects to the page of a schedule, which says what was done.
func (v *view) did(id domain.ID, what string) error {
	if v.r.FormValue("undo") != "" {
		what = "undone"
	}
	return v.redirect("/schedules/" + id.String() + "?did=" + what)
}

func (s *site) runNow(v *view) error {
	id, err := v.id()
	if err != nil {
		return err
	}
	with := map[string]json.RawMessage{}
	var faults domain.Faults
	for _, name := range forms["run"] {
		text := strings.TrimSpace(v.r.PostFormValue(name))
		if text == "" {
			continue
		}
		if !json.Valid([]byte(text)) {
			faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: "json_invalid", Field: "/" + name, Message: v.T("this is no JSON")})
			continue
		}
		with[name] = json.RawMessage(text)
	}
	if len(faults) > 0 {
		return s.refused(v, id, "run", faults)
	}
	var body []byte
	if len(with) > 0 {
		if body, err = json.Marshal(with); err != nil {
			return err
		}
	}
	run, err := v.Store.TriggerOnce(v.ctx(), id, outbox.Manual{With: body, Key: v.r.PostFormValue("key")})
	if err != nil {
		return s.refused(v, id, "run", err)
	}
	return v.redirect("/schedules/" + id.String() + "?did=ran&run=" + run.String())
}
