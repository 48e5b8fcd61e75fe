package pages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/notify"
)

// rulesData answers: who is notified of what, and are notifications delivered?
type rulesData struct {
	Rules      []ruleLine
	Done       *done
	Prev, Next string
	May        bool
}

// ruleLine is a notification rule with its progress.
type ruleLine struct {
	notify.Rule
	Address string
	Says    string // which happenings it tells
	Which   string // which schedules it selects
	Mark    state
	When    *Moment // when the outcome in the mark happened
	Held    *Moment // until when deliveries wait after a failure
	Tries   []tryLine
}

// tryLine is an attempt to send something.
type tryLine struct {
	notify.Attempt
	State state
	When  Moment
}

// ruleData is the page of a rule, or of a new one.
type ruleData struct {
	ruleLine
	New     bool
	Typed   url.Values
	Faults  map[string][]string
	Others  []string
	Done    *done
	Outcome *state // the outcome of the test that was just sent
	Why     string // why the destination did not take it
	Letters []letterLine
	May     bool
}

// secretData shows the secret of a webhook. Nobody can read it again afterwards.
type secretData struct{ Name, Address, Secret string }

// ruleFields are the fields of the form, in its order, without the check boxes for happenings.
var ruleFields = []input{
	field("description", "description"),
	field("schedules, by name: * is any text; empty for all", "names").like("nightly-*, close-books"),
	field("schedules, by tag", "tags").like("reports"),
	field("schedules, by task", "tasks").like("app.reports.*"),
	field("late is more than so many seconds", "late_seconds").as("number").like("60"),
	field("paused is told after so many seconds", "paused_seconds").as("number").like("86400"),
	field("never fired is told after so many seconds", "never_fired_seconds").as("number").like("172800"),
	field("at most one in so many minutes", "every_minutes").as("number").like("10"),
	field("form", "to").among("webhook", "slack", "http", "ping", "stream"),
	field("address: it is never shown again", "url").like("https://hooks.example.com/on-call"),
	field("method, of the form http", "method").among("", "GET", "POST", "PUT", "PATCH"),
	field("headers, an object, of the form http: they are never shown again", "headers").as("json").like("{}"),
	field("content type, of the form http", "content_type").like("application/json"),
	field("body, of the form http", "body").as("area").like(`{"text": "{summary}"}`),
}

// happeningWords has the happenings that a rule may tell, in the order of the form.
var happeningWords = []choice{
	{"failed", "a run failed", false},
	{"missed", "a due time was missed", false},
	{"late", "a run is late", false},
	{"unknown", "nothing is heard of a run", false},
	{"recovered", "a run succeeded again", false},
	{"never_fired", "a schedule never fired", false},
	{"invalid", "a schedule is invalid", false},
	{"paused", "a schedule is paused for long", false},
	{"succeeded", "a run succeeded", false},
}

var (
	// mayReadRules is the permit for seeing rules, which show no secrets.
	mayReadRules = mayRead
	// mayTell is the permit for changing rules, which concern all schedules.
	mayTell = access.Permit{Role: access.Write}
)

const (
	rulesPage    = "/system/notifications"
	lettersOf    = 20              // dead letters that the page of a rule looks through
	testPatience = 6 * time.Second // how long a page waits for the outcome of a test
)

func (s *site) notifications() {
	s.getAs(mayReadRules, rulesPage, s.listRules)
	s.getAs(mayTell, rulesPage+"/new", func(v *view) (string, any, error) {
		if s.Rules == nil {
			return "", nil, errNoPage
		}
		typed := url.Values{"to": {"webhook"}, "on": {"failed", "missed", "recovered"}}
		return "rule", ruleData{New: true, May: true, Typed: typed}, nil
	})
	s.getAs(mayReadRules, rulesPage+"/{name}", func(v *view) (string, any, error) {
		d, err := v.ruleData(v.r.PathValue("name"))
		return "rule", d, err
	})
	s.postAs(mayTell, rulesPage+"/new", s.saveRule)
	s.postAs(mayTell, rulesPage+"/{name}", s.saveRule)
	s.postAs(mayTell, rulesPage+"/{name}/{action}", s.actOnRule)
}

func (s *site) listRules(v *view) (string, any, error) {
	if s.Rules == nil {
		return "", nil, errNoPage
	}
	page, _ := strconv.Atoi(v.r.URL.Query().Get("page")) // otherwise 0: the first
	page = min(max(page, 1), 1_000)
	found, total, err := s.Rules.Page(v.ctx(), perPage, (page-1)*perPage)
	if err != nil {
		return "", nil, err
	}
	d := rulesData{May: mayTell.Demand(v.ctx()) == nil}
	if v.r.URL.Query().Get("did") == "deleted" {
		d.Done = &done{Says: v.T("Deleted: %s.", v.r.URL.Query().Get("name"))}
	}
	for _, r := range found {
		d.Rules = append(d.Rules, v.ruleLine(r))
	}
	if page > 1 {
		d.Prev = rulesPage + "?page=" + strconv.Itoa(page-1)
	}
	if int64(page)*perPage < total {
		d.Next = rulesPage + "?page=" + strconv.Itoa(page+1)
	}
	return "rules", d, nil
}

func (v *view) ruleLine(r notify.Rule) ruleLine {
	line := ruleLine{Rule: r, Address: rulesPage + "/" + url.PathEscape(r.Name)}
	line.Mark = state{"·", v.T("nothing was sent yet"), ""}
	var says, which []string
	for _, w := range happeningWords {
		if slices.Contains(r.On, domain.Happening(w.Value)) {
			says = append(says, v.T(w.Text))
		}
	}
	for _, of := range []struct {
		label string
		texts []string
	}{{"", r.Names}, {v.T("tag"), r.Tags}, {v.T("task"), r.Tasks}} {
		if len(of.texts) > 0 {
			which = append(which, strings.TrimSpace(of.label+" "+strings.Join(of.texts, ", ")))
		}
	}
	line.Says, line.Which = strings.Join(says, ", "), strings.Join(which, " · ")
	last := r.Last
	switch {
	case last.Error != "":
		line.Mark, line.When = state{"✕", v.T("not delivered"), "trouble"}, v.moment(last.FailedAt)
	case !last.DeliveredAt.IsZero():
		line.Mark, line.When = state{"✓", v.T("delivered"), ""}, v.moment(last.DeliveredAt)
	}
	if last.HeldUntil.After(v.Now) {
		line.Held = v.moment(last.HeldUntil)
	}
	for _, a := range last.Attempts {
		line.Tries = append(line.Tries, tryLine{a, v.outcome(a.Outcome), v.at(a.At, "")})
	}
	return line
}

// outcome returns how a page shows an outcome of a delivery.
func (v *view) outcome(of string) state {
	switch of {
	case "delivered":
		return state{"✓", v.T("delivered"), ""}
	case "dead":
		return state{"✕", v.T("set aside"), "trouble"}
	case "waiting":
		return state{"◷", v.T("being sent"), ""}
	}
	return state{"✕", v.T("not delivered"), "trouble"}
}

func (v *view) moment(t time.Time) *Moment { return v.maybeAt(&t, "") }

// ruleData reads what the page of a rule shows.
func (v *view) ruleData(name string) (d ruleData, err error) {
	if v.Rules == nil {
		return d, errNoPage
	}
	r, err := v.Rules.Get(v.ctx(), name)
	if err != nil {
		return d, err
	}
	d = ruleData{ruleLine: v.ruleLine(r), Typed: ruleForm(r.NotificationRule), May: mayTell.Demand(v.ctx()) == nil}
	switch v.r.URL.Query().Get("did") {
	case "saved":
		d.Done = &done{Says: v.T("Saved.")}
	case "paused":
		d.Done = &done{v.T("Paused: it tells nobody."), d.Address + "/resume", v.T("Resume it")}
	case "resumed":
		d.Done = &done{v.T("It tells again from now on."), d.Address + "/pause", v.T("Pause it again")}
	}
	return d, v.fillLetters(&d)
}

// fillLetters adds the dead letters of a rule, for those who may see dead letters.
func (v *view) fillLetters(d *ruleData) error {
	if v.Letters == nil || mayReadAll.Demand(v.ctx()) != nil {
		return nil
	}
	found, err := v.Letters.List(v.ctx(), deadletter.Filter{Source: deadletter.FromNotifications, Limit: lettersShown})
	if err != nil {
		return fmt.Errorf("list dead letters: %w", err)
	}
	slices.Reverse(found)
	for _, l := range found {
		if strings.HasPrefix(l.Reference, d.Name+"/") && len(d.Letters) < lettersOf {
			d.Letters = append(d.Letters, letterLine{l, v.at(l.At, ""), size(l.Size)})
		}
	}
	return nil
}

// Fields returns the fields of the form.
func (ruleData) Fields() []input { return ruleFields }

// Told returns the check boxes for happenings.
func (d ruleData) Told() (all []choice) {
	for _, w := range happeningWords {
		all = append(all, choice{w.Value, w.Text, slices.Contains(d.Typed["on"], w.Value)})
	}
	return all
}

// ruleForm returns the texts of a form for a rule. The address is shortened as in answers of the API, and headers are
// left out.
func ruleForm(r domain.NotificationRule) url.Values {
	values := url.Values{"version": {strconv.FormatInt(r.Version, 10)}}
	for name, text := range map[string]string{
		"description": r.Description, "names": strings.Join(r.Names, ", "), "tags": strings.Join(r.Tags, ", "),
		"tasks": strings.Join(r.Tasks, ", "), "to": string(r.To), "url": r.URL, "method": r.Method,
		"content_type": r.ContentType, "body": r.Body,
	} {
		values.Set(name, text)
	}
	for name, n := range map[string]int64{
		"late_seconds": r.LateSeconds, "paused_seconds": r.PausedSeconds, "never_fired_seconds": r.NeverFiredSeconds,
		"every_minutes": r.EveryMinutes,
	} {
		if n != 0 {
			values.Set(name, strconv.FormatInt(n, 10))
		}
	}
	for _, on := range r.On {
		values.Add("on", string(on))
	}
	return values
}

// typedRule converts what was typed into a form to the body of a request.
func typedRule(typed url.Values, enabled bool) (raw []byte, faults domain.Faults) {
	all := map[string]json.RawMessage{"enabled": encoded(enabled)}
	if on := typed["on"]; len(on) > 0 {
		all["on"] = encoded(on)
	}
	for _, i := range ruleFields {
		value := strings.TrimSpace(strings.ReplaceAll(typed.Get(i.Name), "\r\n", "\n"))
		switch {
		case value == "":
		case i.Name == "names" || i.Name == "tags" || i.Name == "tasks":
			all[i.Name] = encoded(tagsOf(value))
		default:
			faults = i.put(all, value, faults)
		}
	}
	return encoded(all), faults
}

// saveRule creates or changes a rule.
func (s *site) saveRule(v *view) error {
	if s.Rules == nil {
		return errNoPage
	}
	typed, name, version, enabled := v.r.PostForm, v.r.PathValue("name"), v.version(), true
	isNew := name == ""
	if isNew {
		name = strings.TrimSpace(typed.Get("name"))
		if _, err := s.Rules.Get(v.ctx(), name); err == nil {
			return v.ruleRefused(isNew, name, domain.Faults{{
				Kind: domain.Conflict, Code: "name_taken", Field: "/name",
				Message: v.T("there is a rule of this name: change that one, or choose another name"),
			}})
		} else if !errors.Is(err, domain.ErrRuleNotFound) {
			return err
		}
	} else {
		kept, err := s.Rules.Get(v.ctx(), name)
		if err != nil {
			return err
		}
		enabled = kept.Enabled
	}
	raw, faults := typedRule(typed, enabled)
	r, secrets, err := domain.DecodeNotificationRule(name, raw)
	if len(faults) > 0 {
		err = domain.Join(faults, err)
	}
	if err != nil {
		return v.ruleRefused(isNew, name, domain.Join(err, s.Rules.Check(v.ctx(), r, secrets)))
	}
	made, _, secret, err := s.Rules.Put(v.because(typed.Get("why")), r, secrets, version)
	if err != nil {
		return v.ruleRefused(isNew, name, err)
	}
	return v.told(made, secret, "saved")
}

// told shows the secret that a change has generated, or, if there is none, the rule.
func (v *view) told(r notify.Rule, secret, did string) error {
	address := rulesPage + "/" + url.PathEscape(r.Name)
	if secret == "" {
		return v.redirect(address + "?did=" + did)
	}
	v.self = address
	v.render(http.StatusCreated, "rulesecret", secretData{r.Name, address, secret})
	return nil
}

func (v *view) ruleRefused(isNew bool, name string, err error) error {
	faults := domain.FaultsOf(err)
	if faults == nil {
		return err
	}
	d := ruleData{New: true, May: true}
	v.self = rulesPage + "/new"
	if !isNew {
		if d, err = v.ruleData(name); err != nil {
			return err
		}
		v.self = d.Address
	}
	d.Done, d.Typed, d.Faults = nil, v.r.PostForm, map[string][]string{}
	for _, f := range faults {
		member, _, _ := strings.Cut(strings.TrimPrefix(f.Field, "/"), "/")
		known := member == "on" || member == "name" && isNew ||
			slices.ContainsFunc(ruleFields, func(i input) bool { return i.Name == member })
		if known {
			d.Faults[member] = append(d.Faults[member], f.Message)
		} else {
			d.Others = append(d.Others, f.Message)
		}
	}
	v.render(statuses[faults[0].Kind], "rule", d)
	return nil
}

// actOnRule tests, pauses, resumes or deletes a rule, or replaces its secret.
func (s *site) actOnRule(v *view) error {
	if s.Rules == nil {
		return errNoPage
	}
	name := v.r.PathValue("name")
	switch action := v.r.PathValue("action"); action {
	case "test":
		return s.testRule(v, name)
	case "pause", "resume":
		r, err := s.Rules.Get(v.ctx(), name)
		if err != nil {
			return err
		}
		r.Enabled = action == "resume"
		after, _, _, err := s.Rules.Put(v.ctx(), r.NotificationRule, domain.NotificationSecrets{}, 0)
		if err != nil {
			return err
		}
		return v.told(after, "", action+"d")
	case "rotate":
		r, secret, err := s.Rules.Rotate(v.ctx(), name)
		if err != nil {
			return err
		}
		return v.told(r, secret, "saved")
	case "delete":
		if err := s.Rules.Delete(v.ctx(), name, 0); err != nil {
			return err
		}
		return v.redirect(rulesPage + "?did=deleted&name=" + url.QueryEscape(name))
	}
	return errNoPage
}

// testRule sends a test, and shows its outcome.
func (s *site) testRule(v *view, name string) error {
	ctx, cancel := context.WithTimeout(v.ctx(), testPatience)
	tested, err := s.Rules.Test(ctx, name)
	cancel()
	if err != nil {
		return err
	}
	d, err := v.ruleData(name)
	if err != nil {
		return err
	}
	outcome := v.outcome(tested.Outcome)
	d.Outcome, d.Why = &outcome, tested.Error
	v.self = d.Address
	v.render(http.StatusOK, "rule", d)
	return nil
}
