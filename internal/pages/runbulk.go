package pages

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/bulk"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/revoke"
)

// Bulk actions on runs go as those on schedules do: the action bar of the list leads to a question that says how many
// runs are meant, and each answer takes a part of them. The form carries the whole state.

// runBulkWords has the texts of each action: its button, its question, and what is said when it is done.
var runBulkWords = map[string]struct{ Button, Question, Done string }{
	"rerun":  {"Run again", "Run %s runs again?", "Made: %s new runs."},
	"cancel": {"Cancel the runs", "Cancel %s runs?", "Cancelled, or their workers are told: %s runs."},
}

// runBulkForm is a bulk action with its state.
type runBulkForm struct {
	Action    string
	All       bool     // every run that the filter chooses, instead of those that were ticked
	IDs       []string // of the ticked runs
	Filter    runFilter
	Terminate bool
	Key       string

	Token      string // where the next part begins
	Done, Left int64  // how many were done, and were refused
	Refused    []string
}

func runBulkFormOf(q url.Values) runBulkForm {
	f := runBulkForm{
		Action: q.Get("action"), All: q.Get("which") == "all", Filter: runFilterOf(q),
		Key: q.Get("key"), Token: q.Get("token"), Terminate: q.Get("terminate") != "",
		Refused: q["refused"][:min(len(q["refused"]), refusedShown)],
	}
	f.Filter.Token = ""
	if !f.All {
		f.IDs = q["id"][:min(len(q["id"]), bulk.MostRerun)]
	}
	for name, n := range map[string]*int64{"done": &f.Done, "left": &f.Left} {
		*n, _ = strconv.ParseInt(q.Get(name), 10, 64) // otherwise 0
	}
	return f
}

// Hidden returns the hidden fields of the form: all of its state except what is typed.
func (f runBulkForm) Hidden() []hiddenField {
	q := f.Filter.values()
	q.Set("action", f.Action)
	q.Set("key", f.Key)
	if q["id"] = f.IDs; f.All {
		q.Set("which", "all")
	}
	q["refused"] = f.Refused
	if f.Token != "" {
		q.Set("token", f.Token)
	}
	for name, n := range map[string]int64{"done": f.Done, "left": f.Left} {
		q.Set(name, strconv.FormatInt(n, 10))
	}
	return hiddenFields(q)
}

// Hidden returns the hidden fields by which the action bar repeats the filter of the list.
func (d runsData) Hidden() []hiddenField {
	f := d.Filter
	f.Token = ""
	return hiddenFields(f.values())
}

// ids returns the ids of the ticked runs.
func (f runBulkForm) ids() (ids []domain.ID, err error) {
	for _, text := range f.IDs {
		id, err := domain.ParseID(text)
		if err != nil {
			return nil, domain.ErrRunNotFound
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// chosen returns the filter of a form about all runs of the list.
func (f runBulkForm) chosen(v *view) (catalog.RunFilter, error) {
	c, err := f.Filter.catalog(v.Now)
	if f.Action == "cancel" && f.Filter.State == "" {
		c.Statuses = unfinished
	}
	return c, err
}

// unfinished are the states of runs that may be cancelled.
var unfinished = []domain.RunStatus{domain.Due, domain.Sent, domain.Started, domain.Retrying}

// runBulkData is the question, or the progress of its answer.
type runBulkData struct {
	runBulkForm
	Title, Button string
	Back          string
	Some          []runsLine // the first of the chosen runs
	More          string     // how many others there are; empty for none
	None          bool
	NoState       bool // the list has no state to choose by, so what is to run again is not said
	Says          string
	Going         bool // another part follows
}

func (s *site) runBulk() {
	s.getAs(mayWrite, "/runs/bulk", func(v *view) (string, any, error) {
		f := runBulkFormOf(v.r.URL.Query())
		if f.Key == "" {
			f.Key = newKey()
		}
		d, err := v.runBulkQuestion(f)
		return "runbulk", d, err
	})
	s.post("/runs/bulk", s.changeRuns)
}

const (
	mostRunsCounted = 1_000
	mostRunParts    = 5 // that one question reads
)

// runBulkQuestion returns the question: how many runs a form is about, and the first of them.
func (v *view) runBulkQuestion(f runBulkForm) (d runBulkData, err error) {
	words, ok := runBulkWords[f.Action]
	if !ok || f.Action == "cancel" && v.Cancel == nil {
		return d, errNoPage
	}
	d = runBulkData{runBulkForm: f, Button: v.T(words.Button), Back: f.Filter.address()}
	if d.NoState = f.All && f.Action == "rerun" && f.Filter.State == ""; d.NoState {
		d.Title = v.T("Which runs are to run again?")
		return d, nil
	}
	some, n, more, err := v.runsOf(f)
	if err != nil {
		return d, err
	}
	number := count(n)
	if more {
		number += "+"
	}
	if rest := n - int64(len(some)); rest > 0 {
		d.More = count(rest)
		if more {
			d.More += "+"
		}
	}
	d.Title, d.None = v.T(words.Question, number), n == 0 && !more
	for _, r := range some {
		d.Some = append(d.Some, v.runsLine(r))
	}
	return d, nil
}

// runsOf returns the first runs that a form is about, how many there are, and whether there are more than were counted.
func (v *view) runsOf(f runBulkForm) (some []catalog.RunEntry, n int64, more bool, err error) {
	if !f.All {
		ids, err := f.ids()
		for _, id := range ids[:min(len(ids), namesShown)] {
			r, err := v.Catalog.RunDetail(v.ctx(), id)
			if err != nil {
				return nil, 0, false, err
			}
			some = append(some, r.RunEntry)
		}
		return some, int64(len(ids)), false, err
	}
	chosen, err := f.chosen(v)
	if err != nil {
		return nil, 0, false, err
	}
	part := catalog.Page{Size: mostRunsCounted}
	for range mostRunParts {
		page, err := v.Catalog.Runs(v.ctx(), chosen, part)
		if err != nil {
			return nil, 0, false, err
		}
		n += int64(len(page.Runs))
		some = append(some, page.Runs[:min(len(page.Runs), namesShown-len(some))]...)
		if part.Token = page.NextPageToken; part.Token == "" || n >= mostRunsCounted {
			break
		}
	}
	return some, n, part.Token != "", nil
}

// changeRuns takes the next part of the runs and shows the progress.
func (s *site) changeRuns(v *view) error {
	f := runBulkFormOf(v.r.Form)
	words, ok := runBulkWords[f.Action]
	if !ok || f.Action == "cancel" && s.Cancel == nil {
		return errNoPage
	}
	ids, err := v.nextRuns(&f)
	if err != nil {
		return err
	}
	if f.Action == "cancel" {
		err = v.cancelMany(&f, ids)
	} else {
		err = v.rerunMany(&f, ids)
	}
	if err != nil {
		return err
	}
	d := runBulkData{
		runBulkForm: f, Back: f.Filter.address(), Going: f.Token != "", Title: v.T("Several runs"), Button: v.T("Go on"),
		Says: v.T(words.Done, count(f.Done)),
	}
	v.self = d.Back
	v.render(http.StatusOK, "runbulkdone", d)
	return nil
}

// nextRuns returns the next part of the runs that a form is about, and sets where the one after it begins.
func (v *view) nextRuns(f *runBulkForm) ([]domain.ID, error) {
	if !f.All {
		ids, err := f.ids()
		f.Token = ""
		if err != nil {
			return nil, err
		}
		return ids, v.Catalog.MayReadRuns(v.ctx(), ids)
	}
	chosen, err := f.chosen(v)
	if err != nil {
		return nil, err
	}
	if len(chosen.Statuses) == 0 {
		return nil, &domain.Error{
			Kind: domain.Invalid, Code: "choice_missing", Field: "state",
			Message: v.T("choose a state in the list first, such as failed"),
		}
	}
	page, err := v.Catalog.Runs(v.ctx(), chosen, catalog.Page{Size: bulk.MostRerun, Token: f.Token})
	if err != nil {
		return nil, err
	}
	var ids []domain.ID
	for _, r := range page.Runs {
		ids = append(ids, r.ID)
	}
	f.Token = page.NextPageToken
	return ids, nil
}

func (v *view) rerunMany(f *runBulkForm, ids []domain.ID) error {
	changer := bulk.Changer{Store: v.Store, Catalog: v.Catalog}
	for _, id := range ids {
		_, err := changer.Rerun(v.ctx(), id, f.Key+"/"+id.String())
		faults := domain.FaultsOf(err)
		if err != nil && faults == nil {
			return err
		}
		f.count(id, err == nil, func() string { return faults[0].Message })
	}
	return nil
}

func (v *view) cancelMany(f *runBulkForm, ids []domain.ID) error {
	if len(ids) == 0 {
		return nil
	}
	slices.SortFunc(ids, func(a, b domain.ID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	outcomes, err := v.cancel(ids, f.Terminate)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		f.count(o.ID, o.Outcome == revoke.Settled || o.Outcome == revoke.Told, func() string {
			if o.Outcome == revoke.NotFound {
				return domain.ErrRunNotFound.Message
			}
			return v.T(cancelWords[o.Outcome])
		})
	}
	return nil
}

// count adds what became of a run.
func (f *runBulkForm) count(id domain.ID, done bool, why func() string) {
	if done {
		f.Done++
	} else if f.Left++; len(f.Refused) < refusedShown {
		f.Refused = append(f.Refused, id.String()+": "+why())
	}
}
