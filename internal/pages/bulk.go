package pages

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/bulk"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// Bulk actions change several schedules. The action bar of the list leads to a question that says how many and which
// schedules are meant; each answer changes a hundred of them. The form carries the whole state, so the server keeps
// nothing between two steps.

// bulkWords has the texts of each action of package bulk: its button, its question, and what is said when it is done.
var bulkWords = map[string]struct{ Button, Question, Done string }{
	"enable":  {"Enable", "Enable %s schedules?", "Enabled: %s schedules."},
	"disable": {"Pause", "Pause %s schedules?", "Paused: %s schedules."},
	"trigger": {"Run now", "Run %s schedules now?", "Handed over to be started: %s runs."},
	"retag":   {"Change tags", "Change the tags of %s schedules?", "Tags changed: %s schedules."},
	"delete":  {"Delete", "Delete %s schedules?", "Deleted: %s schedules."},
}

// bulkForm is a bulk action with its state, as a form carries it.
type bulkForm struct {
	Action string
	All    bool       // every schedule that the filter chooses, instead of those that were ticked
	IDs    []string   // of the ticked schedules
	Filter listFilter // of the list that the action began on
	Group  string     // for disable, the operation; for enable, the operation that disabled the schedules
	Key    string
	Typed  map[string]string

	Token            string   // where the next hundred begin
	Done, Same, Left int64    // how many were changed, were as wanted already, and were refused
	Refused          []string // some of those that were refused, with the reason
}

// bulkTyped are the visible fields of the question.
var bulkTyped = []string{"reason", "until", "add", "remove"}

// refusedShown is how many of the refused schedules are named.
const refusedShown = 20

func bulkFormOf(q url.Values) bulkForm {
	f := bulkForm{
		Action: q.Get("action"), All: q.Get("which") == "all", Filter: filterOf(q), Group: q.Get("group"), Key: q.Get("key"), Token: q.Get("token"),
		Typed: map[string]string{}, Refused: q["refused"][:min(len(q["refused"]), refusedShown)],
	}
	if !f.All {
		f.IDs = q["id"][:min(len(q["id"]), bulk.Most)]
	}
	for _, name := range bulkTyped {
		f.Typed[name] = strings.TrimSpace(q.Get(name))
	}
	for name, n := range map[string]*int64{"done": &f.Done, "same": &f.Same, "left": &f.Left} {
		*n, _ = strconv.ParseInt(q.Get(name), 10, 64) // otherwise 0
	}
	return f
}

// values returns the hidden state of the form: everything except what is typed.
func (f bulkForm) values() url.Values {
	q := f.Filter.chosen()
	q.Set("action", f.Action)
	if q["id"] = f.IDs; f.All {
		q.Set("which", "all")
	}
	q["refused"] = f.Refused
	for name, value := range map[string]string{"group": f.Group, "key": f.Key, "token": f.Token} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for name, n := range map[string]int64{"done": f.Done, "same": f.Same, "left": f.Left} {
		q.Set(name, strconv.FormatInt(n, 10))
	}
	return q
}

// hiddenField is a field of type hidden.
type hiddenField struct{ Name, Value string }

// Hidden returns the hidden fields of the question.
func (f bulkForm) Hidden() []hiddenField { return hiddenFields(f.values()) }

func hiddenFields(q url.Values) (all []hiddenField) {
	for _, name := range slices.Sorted(maps.Keys(q)) {
		for _, value := range q[name] {
			all = append(all, hiddenField{name, value})
		}
	}
	return all
}

// Hidden returns the hidden fields by which the action bar repeats the filter of the list.
func (d schedulesData) Hidden() []hiddenField { return hiddenFields(d.Filter.chosen()) }

// Narrowed reports whether the list has any filter besides the search text.
func (d schedulesData) Narrowed() bool {
	q := d.Filter.chosen()
	return len(q) > 1 || len(q) == 1 && d.Filter.Query == ""
}

// chosen returns the filter of a form about all schedules of the list. The question and the change both use it, so they
// agree on what is meant.
func (f bulkForm) chosen() catalog.Filter {
	if f.Action == "enable" && f.Group != "" {
		return catalog.Filter{PauseGroup: f.Group}
	}
	return f.Filter.catalog()
}

// request returns what package bulk is asked to do.
func (f bulkForm) request() (r bulk.Request, err error) {
	r = bulk.Request{Action: f.Action, PageToken: f.Token, Key: f.Key}
	switch f.Action {
	case "disable":
		r.Reason, r.Until, r.Group = f.Typed["reason"], f.Typed["until"], f.Group
	case "retag":
		r.AddTags, r.RemoveTags = tagsOf(f.Typed["add"]), tagsOf(f.Typed["remove"])
	}
	if f.All {
		filter := f.chosen()
		r.Filter = &filter
	}
	for _, text := range f.IDs {
		id, err := domain.ParseID(text)
		if err != nil {
			return r, domain.ErrNotFound
		}
		r.IDs = append(r.IDs, id)
	}
	return r, r.Check()
}

// bulkData is the question, or the progress of its answer.
type bulkData struct {
	bulkForm
	Title, Button string
	Back          string
	Chosen        []catalog.Choice // the first of them
	More          string           // how many others there are; empty for none
	None          bool
	Faults        map[string][]string
	Others        []string
	Says          string
	Going         bool // more hundreds follow
}

func (s *site) bulk() {
	s.getAs(mayWrite, "/schedules/bulk", func(v *view) (string, any, error) {
		f := bulkFormOf(v.r.URL.Query())
		if f.Key == "" {
			f.Key = newKey()
		}
		d, err := v.bulkQuestion(f)
		return "bulk", d, err
	})
	s.post("/schedules/bulk", s.changeMany)
}

// bulkQuestion returns the question: how many schedules a form is about, and the first of them.
func (v *view) bulkQuestion(f bulkForm) (d bulkData, err error) {
	words, ok := bulkWords[f.Action]
	if !ok {
		return d, errNoPage
	}
	d = bulkData{bulkForm: f, Button: v.T(words.Button), Back: f.Filter.address(), Faults: map[string][]string{}}
	var n int64
	if f.All {
		d.Chosen, n, err = v.chosenBy(f.chosen())
	} else {
		var ids []domain.ID
		for _, text := range f.IDs {
			if id, err := domain.ParseID(text); err == nil {
				ids = append(ids, id)
			}
		}
		d.Chosen, err = v.Catalog.Named(v.ctx(), ids)
		n = int64(len(d.Chosen))
	}
	if err != nil {
		return d, err
	}
	number := count(n)
	if n >= catalog.MaxMatchCount {
		number += "+"
	}
	d.Title, d.None = v.T(words.Question, number), n == 0
	if n > namesShown {
		d.Chosen = d.Chosen[:min(len(d.Chosen), namesShown)]
		d.More = strings.Replace(number, count(n), count(n-namesShown), 1)
	}
	return d, nil
}

// namesShown is how many schedules the question lists by name.
const namesShown = 20

// chosenBy returns the first schedules that a filter chooses, and how many it chooses, counted up to MaxMatchCount.
func (v *view) chosenBy(f catalog.Filter) (some []catalog.Choice, n int64, err error) {
	part := catalog.Page{Size: 1_000}
	for n < catalog.MaxMatchCount {
		found, next, err := v.Catalog.Choose(v.ctx(), f, part)
		if err != nil {
			return nil, 0, err
		}
		if n += int64(len(found)); len(some) < namesShown {
			some = append(some, found...)
		}
		if part.Token = next; next == "" {
			break
		}
	}
	return some, n, nil
}

// changeMany changes the next hundred schedules and shows the progress.
func (s *site) changeMany(v *view) error {
	f := bulkFormOf(v.r.Form)
	r, err := f.request()
	if err == nil && r.Until != "" { // refuse it here, not once for each schedule
		_, err = domain.Schedule{}.NewPause(r.Reason, r.Until, v.Now)
	}
	if err != nil {
		return s.bulkRefused(v, f, err)
	}
	answer, err := bulk.Changer{Store: v.Store, Catalog: v.Catalog}.Change(v.because(r.Reason), r)
	if err != nil {
		return err
	}
	f.count(answer)
	d := bulkData{bulkForm: f, Back: f.Filter.address(), Going: f.Token != "", Says: v.bulkSaid(f.Action, f.Done, f.Same)}
	if d.Going || f.Left > 0 {
		d.Title, d.Button = v.T("Several schedules"), v.T("Go on")
		v.self = d.Back
		v.render(http.StatusOK, "bulkdone", d)
		return nil
	}
	back := f.Filter.chosen()
	for name, value := range map[string]string{
		"did": "bulk", "action": f.Action, "done": strconv.FormatInt(f.Done, 10), "same": strconv.FormatInt(f.Same, 10), "group": f.Group,
	} {
		back.Set(name, value)
	}
	return v.redirect("/schedules?" + back.Encode())
}

// count adds the outcome of one step.
func (f *bulkForm) count(a bulk.Answer) {
	f.Token, f.Group = a.Next, a.Group
	for _, one := range a.Outcomes {
		switch one.Outcome {
		case "done":
			f.Done++
		case "unchanged":
			f.Same++
		default:
			if f.Left++; len(f.Refused) < refusedShown {
				name := one.Name
				if name == "" {
					name = one.ID.String()
				}
				f.Refused = append(f.Refused, name+": "+one.Error)
			}
		}
	}
}

// bulkRefused shows the question again, with each fault beside its field.
func (s *site) bulkRefused(v *view, f bulkForm, err error) error {
	faults := domain.FaultsOf(err)
	if faults == nil || faults[0].Kind != domain.Invalid {
		return err
	}
	d, failed := v.bulkQuestion(f)
	if failed != nil {
		return failed
	}
	for _, fault := range faults {
		switch name := strings.TrimPrefix(fault.Field, "/"); {
		case name == "add_tags":
			d.Faults["add"] = append(d.Faults["add"], v.T("name a tag to add, or one to take away"))
		case slices.Contains(bulkTyped, name):
			d.Faults[name] = append(d.Faults[name], fault.Message)
		default:
			d.Others = append(d.Others, fault.Message)
		}
	}
	v.self = d.Back
	v.render(statuses[domain.Invalid], "bulk", d)
	return nil
}

func (v *view) bulkSaid(action string, done, same int64) string {
	said := v.T(bulkWords[action].Done, count(done))
	if same > 0 {
		said += " " + v.T("%s were so already.", count(same))
	}
	return said
}

// listDone says, above the list, what the action before did.
func (v *view) listDone() *done {
	q := v.r.URL.Query()
	switch q.Get("did") {
	case "deleted":
		return &done{Says: v.T("Deleted: %s.", q.Get("name"))}
	case "bulk":
		if _, known := bulkWords[q.Get("action")]; !known {
			return nil
		}
		n, _ := strconv.ParseInt(q.Get("done"), 10, 64) // else none
		same, _ := strconv.ParseInt(q.Get("same"), 10, 64)
		told := &done{Says: v.bulkSaid(q.Get("action"), n, same)}
		if group := q.Get("group"); q.Get("action") == "disable" && group != "" && n > 0 {
			told.Undo = "/schedules/bulk?" + url.Values{"action": {"enable"}, "which": {"all"}, "group": {group}}.Encode()
			told.Back = v.T("Enable these again")
		}
		return told
	}
	return nil
}
