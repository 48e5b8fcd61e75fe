package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
	"github.com/tactus-dev/tactus/internal/deadletter"
)

// Letters gives access to the dead letters that this process can reach.
type Letters interface {
	List(ctx context.Context, f deadletter.Filter) ([]deadletter.Letter, error)
	Retry(ctx context.Context, letters []deadletter.Letter) ([]deadletter.Outcome, error)
	Drop(ctx context.Context, letters []deadletter.Letter) ([]deadletter.Letter, error)
}

// mayRunAll is the permit for changing the whole installation.
var mayRunAll = access.Permit{Role: access.Admin}

// lettersData answers: what was set aside, why, and what can be done about it?
type lettersData struct {
	Sources []choice
	Source  string
	Letters []letterLine
	Cut     bool
	Done    []letterOutcome
	Says    string
	Failed  string // why the list is incomplete; empty if it is complete
	May     bool
}

type letterLine struct {
	deadletter.Letter
	When  Moment
	Bytes string
}

// letterOutcome tells what became of a letter that was put back or dropped.
type letterOutcome struct {
	deadletter.Letter
	Class, Mark, Says string
}

// lettersShown is how many of the newest letters are shown from each source.
const lettersShown = 100

var letterSources = []string{
	"", "events", "celery", "streams", deadletter.FromBeat, deadletter.FromNotifications, deadletter.FromEntries,
}

func (s *site) letters() {
	s.getAs(mayReadAll, "/system/deadletters", func(v *view) (string, any, error) {
		d, err := v.lettersData(v.r.URL.Query().Get("source"))
		return "letters", d, err
	})
	s.postAs(mayRunAll, "/system/deadletters", s.handleLetters)
}

func (v *view) lettersData(source string) (d lettersData, err error) {
	d = lettersData{Source: source, May: mayRunAll.Demand(v.ctx()) == nil}
	for _, name := range letterSources {
		text := name
		if name == "" {
			text = v.T("all of them")
		}
		d.Sources = append(d.Sources, choice{name, text, name == source})
	}
	if v.Letters == nil {
		return d, nil
	}
	found, err := v.Letters.List(v.ctx(), deadletter.Filter{Source: source, Limit: lettersShown})
	if err != nil && len(found) == 0 {
		return d, fmt.Errorf("list dead letters: %w", err)
	}
	if err != nil { // those in Redis are missing, those in PostgreSQL are there
		v.Log.Warn("not all dead letters were listed", "err", err)
		d.Failed = v.T("Redis does not answer: what is set aside there is not shown.")
	}
	for _, l := range found {
		d.Letters = append(d.Letters, letterLine{l, v.at(l.At, ""), size(l.Size)})
	}
	d.Cut = len(found) >= lettersShown
	return d, nil
}

// handleLetters puts the ticked letters back or drops them, and shows the outcome of each.
func (s *site) handleLetters(v *view) error {
	source, action, ids := v.r.PostFormValue("source"), v.r.PostFormValue("action"), v.r.PostForm["id"]
	if v.Letters == nil || action != "retry" && action != "drop" {
		return errNoPage
	}
	v.self = "/system/deadletters?" + url.Values{"source": {source}}.Encode()
	if len(ids) == 0 {
		return v.showLetters(source, v.T("Nothing is ticked."), nil)
	}
	if len(ids) > 2*lettersShown {
		return bodies.ErrTooLarge
	}
	chosen, err := v.Letters.List(v.ctx(), deadletter.Filter{IDs: ids})
	switch {
	case errors.Is(err, deadletter.ErrID):
		return errNoPage
	case err != nil && !errors.Is(err, deadletter.ErrNone): // ErrNone: somebody else has handled them
		return fmt.Errorf("read dead letters: %w", err)
	}
	if action == "drop" {
		return s.dropLetters(v, source, chosen)
	}
	done, err := v.Letters.Retry(v.ctx(), chosen)
	if err != nil && len(done) == 0 {
		return fmt.Errorf("put dead letters back: %w", err)
	}
	var told []letterOutcome
	again := int64(0)
	for _, o := range done {
		line := letterOutcome{o.Letter, "attention", "!", o.Result}
		if o.Again {
			again++
			line.Class, line.Mark = "", "✓"
		}
		told = append(told, line)
	}
	return v.showLetters(source, v.T("%s of %s put back.", count(again), count(int64(len(ids)))), told)
}

func (s *site) dropLetters(v *view, source string, chosen []deadletter.Letter) error {
	dropped, err := v.Letters.Drop(v.ctx(), chosen)
	if err != nil && len(dropped) == 0 {
		return fmt.Errorf("drop dead letters: %w", err)
	}
	return v.showLetters(source, v.T("%s of %s dropped.", count(int64(len(dropped))), count(int64(len(v.r.PostForm["id"])))), nil)
}

func (v *view) showLetters(source, says string, done []letterOutcome) error {
	d, err := v.lettersData(source)
	if err != nil {
		return err
	}
	d.Says, d.Done = says, done
	v.render(http.StatusOK, "letters", d)
	return nil
}

// Page returns the address of the schedule, the run or the rule that a letter is about, or an empty text if there is
// none.
func (l letterLine) Page() string {
	id, err := domain.ParseID(l.Reference[:min(len(l.Reference), 36)])
	switch {
	case l.Source == deadletter.FromNotifications:
		rule, _, _ := strings.Cut(l.Reference, "/")
		return rulesPage + "/" + url.PathEscape(rule)
	case err != nil || l.Source == deadletter.FromEntries:
		return ""
	case l.Source == "events" || l.Source == deadletter.FromBeat:
		return "/schedules/" + id.String()
	}
	return "/runs/" + id.String()
}
