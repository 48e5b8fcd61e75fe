package bulk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/outbox"
)

// Most is how many schedules one request changes.
const Most = 100

// mostEmptyPages is the most pages without a match that one request reads.
const mostEmptyPages = 10

// Request says what to do with which schedules. The context holds the actor and the reason.
type Request struct {
	Action    string
	IDs       []domain.ID     // or
	Filter    *catalog.Filter // selects the schedules, instead of IDs
	PageToken string          // the place to continue from
	DryRun    bool            // only say what would become of which schedules
	Key       string          // for trigger, an Idempotency-Key: repeating the request creates no further runs

	Reason, Until, Group string // for disable
	AddTags, RemoveTags  []string
	Set                  json.RawMessage // the members to change
}

// Answer tells what became of the schedules of a request.
type Answer struct {
	Group    string // of the disabled schedules
	Next     string // where to go on; empty when there are no more
	Outcomes []Outcome
}

// Outcome tells what became of one schedule: would, done, unchanged or refused.
type Outcome struct {
	ID      domain.ID
	Name    string
	Outcome string
	Version int64
	RunID   *domain.ID
	Code    string
	Error   string
}

// Changer changes schedules of a store that a catalog finds.
type Changer struct {
	Store   *outbox.Store
	Catalog *catalog.Catalog
}

// actions maps each action to the function that does it to one schedule.
var actions = map[string]func(Changer, context.Context, domain.ID, Request) (Outcome, error){
	"enable": func(c Changer, ctx context.Context, id domain.ID, asked Request) (Outcome, error) {
		return c.outcomeOf(ctx, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			return c.Store.SetEnabled(ctx, id, 0, true)
		})
	},
	"disable": func(c Changer, ctx context.Context, id domain.ID, asked Request) (Outcome, error) {
		return c.outcomeOf(ctx, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			before, err := c.Store.Get(ctx, id)
			if err != nil || !before.IsEnabled() {
				return before, err
			}
			return c.Store.Disable(ctx, id, before.Version, func(before domain.Schedule, now time.Time) (domain.Pause, error) {
				p, err := before.NewPause(asked.Reason, asked.Until, now)
				p.By, _ = outbox.ActorOf(ctx)
				p.Group = asked.Group
				return p, err
			})
		})
	},
	"delete": func(c Changer, ctx context.Context, id domain.ID, _ Request) (Outcome, error) {
		return Outcome{Outcome: "done"}, c.Store.Delete(ctx, id, 0)
	},
	"trigger": func(c Changer, ctx context.Context, id domain.ID, asked Request) (Outcome, error) {
		m := outbox.Manual{}
		if asked.Key != "" {
			m.Key = asked.Key + " " + id.String()
		}
		run, err := c.Store.TriggerOnce(ctx, id, m)
		return Outcome{Outcome: "done", RunID: &run}, err
	},
	"retag": func(c Changer, ctx context.Context, id domain.ID, asked Request) (Outcome, error) {
		return c.outcomeOf(ctx, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			before, err := c.Store.Get(ctx, id)
			if err != nil {
				return before, err
			}
			patch, err := json.Marshal(map[string][]string{"tags": retagged(before.Tags, asked)})
			if err != nil {
				return before, err
			}
			return c.Store.Merge(ctx, id, before.Version, patch)
		})
	},
	"set": func(c Changer, ctx context.Context, id domain.ID, asked Request) (Outcome, error) {
		return c.outcomeOf(ctx, id, func(ctx context.Context, id domain.ID) (domain.Schedule, error) {
			return c.Store.Merge(ctx, id, 0, asked.Set)
		})
	},
}

// retagged returns tags without the removed ones and with the added ones.
func retagged(tags []string, asked Request) []string {
	left := slices.DeleteFunc(append([]string{}, tags...), func(tag string) bool { return slices.Contains(asked.RemoveTags, tag) })
	for _, tag := range asked.AddTags {
		if !slices.Contains(left, tag) {
			left = append(left, tag)
		}
	}
	return left
}

// outcomeOf changes a schedule, and tells whether anything changed.
func (c Changer) outcomeOf(
	ctx context.Context, id domain.ID, change func(context.Context, domain.ID) (domain.Schedule, error),
) (Outcome, error) {
	before, err := c.Store.Get(ctx, id)
	if err != nil {
		return Outcome{}, err
	}
	after, err := change(ctx, id)
	done := Outcome{Outcome: "done", Version: after.Version}
	if after.Version == before.Version {
		done.Outcome = "unchanged"
	}
	return done, err
}

// Check returns the faults of a request that can be found without schedules.
func (r Request) Check() error {
	invalid := func(field, format string, args ...any) error {
		return &domain.Error{Kind: domain.Invalid, Code: "choice_invalid", Field: field, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case actions[r.Action] == nil:
		return invalid("/action", "%.50q: want enable, disable, delete, trigger, retag or set", r.Action)
	case (r.Filter == nil) == (len(r.IDs) == 0):
		return invalid("", "want either ids or a filter; {} as the filter chooses all")
	case len(r.IDs) > Most:
		return invalid("/ids", "%d ids: at most %d in one request", len(r.IDs), Most)
	case (r.Action == "retag") != (len(r.AddTags)+len(r.RemoveTags) > 0):
		return invalid("/add_tags", "add_tags and remove_tags belong to retag, which wants one of them")
	case (r.Action == "set") != (len(r.Set) > 0):
		return invalid("/set", "set has the members to change, and belongs to the action set")
	case r.Action != "disable" && (r.Until != "" || r.Group != ""):
		return invalid("/until", "until and group belong to disable")
	}
	return nil
}

// Change carries out a request that has passed Check.
func (c Changer) Change(ctx context.Context, r Request) (Answer, error) {
	if r.Action == "disable" && r.Group == "" {
		r.Group = outbox.NewID().String()
	}
	chosen, next, err := c.chosen(ctx, r)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Group: r.Group, Next: next, Outcomes: make([]Outcome, len(chosen))}
	if r.DryRun {
		ctx = c.Store.Rehearsal(ctx)
	}
	order, err := c.inOrder(ctx, chosen)
	if err != nil {
		return Answer{}, err
	}
	p := patience{left: lockPatience}
	for _, i := range order {
		done := p.outcome(c, ctx, chosen[i].ID, r)
		done.ID, done.Name = chosen[i].ID, chosen[i].Name
		if r.DryRun && done.Outcome == "done" {
			done.Outcome, done.Version, done.RunID = "would", 0, nil
		}
		answer.Outcomes[i] = done
	}
	return answer, nil
}

// inOrder returns the order in which to change schedules: those last that somebody has locked.
func (c Changer) inOrder(ctx context.Context, chosen []catalog.Choice) (order []int, err error) {
	ids := make([]domain.ID, len(chosen))
	for i, one := range chosen {
		ids[i] = one.ID
	}
	free, err := c.Store.Free(ctx, ids)
	if err != nil {
		return nil, err
	}
	var locked []int
	for i, id := range ids {
		if free[id] {
			order = append(order, i)
		} else {
			locked = append(locked, i) // or there is none
		}
	}
	return append(order, locked...), nil
}

// How long one schedule that somebody has locked is waited for, and all of a request.
const (
	lockWait     = 500 * time.Millisecond
	lockPatience = 3 * time.Second
)

// patience is how long a request may go on waiting for locks.
type patience struct{ left time.Duration }

// outcome does what is asked for to one schedule. Once waiting has taken too long, what is locked is refused by name
// after one attempt, and what is not tried any more because the request has no time left says so.
func (p *patience) outcome(c Changer, ctx context.Context, id domain.ID, r Request) Outcome {
	if ctx.Err() != nil {
		return Outcome{
			Outcome: "refused", Code: "unavailable",
			Error: "the request took too long before it was this one's turn: nothing was changed; ask for it again",
		}
	}
	if p.left <= 0 {
		if free, err := c.Store.Free(ctx, []domain.ID{id}); err == nil && !free[id] {
			if _, err := c.Store.Get(ctx, id); err == nil {
				return refused(domain.ErrLocked)
			}
		}
	}
	began := time.Now()
	done, err := actions[r.Action](c, c.Store.WithPatience(ctx, min(lockWait, max(p.left, 1))), id, r)
	if errors.Is(err, domain.ErrLocked) {
		p.left -= time.Since(began)
	}
	if err != nil {
		return refused(err)
	}
	return done
}

func refused(err error) Outcome {
	if faults := domain.FaultsOf(err); len(faults) > 0 {
		return Outcome{Outcome: "refused", Code: faults[0].Code, Error: faults[0].Message}
	}
	return Outcome{Outcome: "refused", Code: "unavailable", Error: "the database did not answer as it should: try again"}
}

// chosen returns the schedules that a request selects, and the token of the next part.
func (c Changer) chosen(ctx context.Context, r Request) (chosen []catalog.Choice, next string, err error) {
	if r.Filter == nil {
		for _, id := range r.IDs {
			chosen = append(chosen, catalog.Choice{ID: id})
		}
		return chosen, "", nil
	}
	page := catalog.Page{Size: Most, Token: r.PageToken}
	for range mostEmptyPages {
		if chosen, next, err = c.Catalog.Choose(ctx, *r.Filter, page); err != nil || len(chosen) > 0 || next == "" {
			break
		}
		page.Token = next
	}
	return chosen, next, err
}
