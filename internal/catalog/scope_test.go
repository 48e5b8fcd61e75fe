package catalog_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestRunsOfAScope lists runs for a caller whose scope has one of two schedules.
func TestRunsOfAScope(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	runs := map[string]domain.ID{}
	for _, name := range []string{"mine-1", "theirs"} {
		made, err := store.Create(t.Context(), domain.Definition{Name: name, CronExpression: "0 0 1 1 *", TaskName: "app.t"}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		if runs[name], err = store.Trigger(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
	}
	confined := access.With(t.Context(), access.Principal{Kind: access.Key, Role: access.Read, Scope: access.Scope{"name:mine-"}})
	page, err := catalog.New(pool).Runs(confined, catalog.RunFilter{}, catalog.Page{Size: 10})
	if err != nil || len(page.Runs) != 1 || page.Runs[0].ID != runs["mine-1"] {
		t.Errorf("%+v, %v", page, err)
	}
	now := time.Now()
	soon, before := now.Add(time.Hour), now.Add(-time.Hour)
	sum, err := catalog.New(pool).RunSummary(confined, catalog.RunFilter{DueFrom: &before, DueTo: &soon})
	if err != nil || sum.Total != 1 {
		t.Errorf("%+v, %v", sum, err)
	}
	if _, err := catalog.New(pool).RunDetail(confined, runs["theirs"]); !errors.Is(err, domain.ErrRunNotFound) {
		t.Errorf("a run out of scope: %v", err)
	}
	if all, err := catalog.New(pool).Runs(t.Context(), catalog.RunFilter{}, catalog.Page{Size: 10}); err != nil || len(all.Runs) != 2 {
		t.Errorf("without a scope: %+v, %v", all, err)
	}
}
