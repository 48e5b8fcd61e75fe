package pages

import (
	"context"
	"errors"
	"net/url"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bulk"
	"github.com/tactus-dev/tactus/internal/revoke"
)

// Cancelled has runs not run any more, as [revoke.Cancel] does.
type Cancelled func(ctx context.Context, o revoke.Order) ([]revoke.Cancelled, error)

// cancelWords says what came of cancelling a run.
var cancelWords = map[revoke.Outcome]string{
	revoke.Settled:  "Cancelled: it was not handed over, and is not going to be.",
	revoke.Told:     "Its workers are told to revoke it. What runs already goes on, unless it is to be killed.",
	revoke.Finished: "It had ended: there was nothing to cancel.",
	revoke.Stream:   "It was handed over to a stream, whose reader nobody can tell.",
	revoke.Locked:   "Another transaction writes to it just now: try again.",
}

func (s *site) runActions() {
	s.post("/runs/{id}/rerun", s.rerun)
	s.post("/runs/{id}/cancel", s.cancelRun)
	s.runBulk()
}

func (s *site) rerun(v *view) error {
	id, err := domain.ParseID(v.r.PathValue("id"))
	if err != nil {
		return domain.ErrRunNotFound
	}
	again, err := bulk.Changer{Store: v.Store, Catalog: v.Catalog}.Rerun(v.ctx(), id, v.r.PostFormValue("key"))
	if err != nil {
		return err
	}
	return v.redirect("/runs/" + again.RunID.String() + "?did=reran")
}

func (s *site) cancelRun(v *view) error {
	id, err := domain.ParseID(v.r.PathValue("id"))
	if err != nil || s.Cancel == nil {
		return domain.ErrRunNotFound
	}
	done, err := v.cancel([]domain.ID{id}, v.r.PostFormValue("terminate") != "")
	if err != nil {
		return err
	}
	if done[0].Outcome == revoke.NotFound {
		return domain.ErrRunNotFound
	}
	return v.redirect("/runs/" + id.String() + "?" + url.Values{"did": {string(done[0].Outcome)}}.Encode())
}

// cancel cancels runs that are in the scope of the principal.
func (v *view) cancel(ids []domain.ID, terminate bool) ([]revoke.Cancelled, error) {
	scope := access.From(v.ctx()).Scope
	done, err := v.Cancel(v.ctx(), revoke.Order{
		IDs: ids, Terminate: terminate, ScopeTags: scope.Tags(), ScopeNames: scope.Prefixes(),
	})
	if err == nil && len(done) != len(ids) {
		err = errors.New("not every run was answered for")
	}
	return done, err
}

// runDone says what the previous action on a run did.
func (v *view) runDone() *done {
	did := v.r.URL.Query().Get("did")
	if did == "reran" {
		return &done{Says: v.T("This is the new run. It has the task of the other one.")}
	}
	if said, ok := cancelWords[revoke.Outcome(did)]; ok {
		return &done{Says: v.T(said)}
	}
	return nil
}

// Cancels reports whether the run may be cancelled.
func (d runData) Cancels() bool {
	switch d.Status {
	case domain.Due, domain.Sent, domain.Started, domain.Retrying:
		return !d.Final
	}
	return false
}
