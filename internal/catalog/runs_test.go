package catalog_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// madeRun is a run that a test has made.
type madeRun struct {
	id       domain.ID
	schedule int
	due      time.Time
	finished *time.Time
	status   domain.RunStatus
	kind     domain.RunKind
	worker   string
	error    string
}

// world is some schedules with runs over four months, of which several are due at the same instants.
type world struct {
	schedules []domain.ID
	runs      []madeRun // newest first
}

func makeRuns(t *testing.T, pool *pgxpool.Pool, schedules, runs int) (w world) {
	t.Helper()
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	for n := range schedules {
		s, err := store.Create(t.Context(), domain.Definition{
			Name: fmt.Sprint("s", n), TaskName: fmt.Sprint("app.t", n%3), Queue: fmt.Sprint("q", n%2), CronExpression: "* * * * *",
			Tags: []string{"all", fmt.Sprint("tag", n%4)},
		}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		w.schedules = append(w.schedules, s.ID)
	}
	random := rand.New(rand.NewPCG(1, 2))
	newest := time.Now().UTC().Truncate(time.Hour)
	for range runs {
		r := madeRun{
			id: outbox.NewID(), schedule: random.IntN(schedules), kind: domain.Scheduled,
			due: newest.Add(-time.Duration(random.IntN(24*120)) * time.Hour), worker: fmt.Sprint("w", random.IntN(3)),
		}
		switch random.IntN(6) {
		case 0:
			r.status, r.error = domain.Failed, fmt.Sprint("ValueError: row ", random.IntN(20))
		case 1:
			r.status, r.kind = domain.Sent, domain.Manual
		default:
			r.status = domain.Succeeded
		}
		if r.status != domain.Sent {
			finished := r.due.Add(time.Duration(random.IntN(100)) * time.Minute)
			r.finished = &finished
		}
		w.runs = append(w.runs, r)
		if _, err := pool.Exec(t.Context(), `
			insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, fired_at, started_at, finished_at, worker, error)
			values ($1, $2, $3, $1, $4, $5, 1, $3, $3, $6, $7, nullif($8, ''))`,
			r.id, w.schedules[r.schedule], r.due, r.kind, r.status, r.finished, r.worker, r.error); err != nil {
			t.Fatal(err)
		}
	}
	slices.SortFunc(w.runs, func(a, b madeRun) int {
		return cmp.Or(b.due.Compare(a.due), strings.Compare(b.id.String(), a.id.String()))
	})
	return w
}

// TestRunsAreListed compares lists, read in pages of several sizes, with what was made.
func TestRunsAreListed(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	w := makeRuns(t, pool, 12, 1500)
	c := catalog.New(pool)
	month := w.runs[0].due.AddDate(0, -1, 0)
	week := w.runs[0].due.AddDate(0, 0, -7)
	for name, filter := range map[string]struct {
		catalog.RunFilter
		has func(madeRun) bool
	}{
		"all":        {catalog.RunFilter{}, func(madeRun) bool { return true }},
		"failed":     {catalog.RunFilter{Statuses: []domain.RunStatus{domain.Failed}}, func(r madeRun) bool { return r.status == domain.Failed }},
		"two states": {catalog.RunFilter{Statuses: []domain.RunStatus{domain.Failed, domain.Sent}}, func(r madeRun) bool { return r.status != domain.Succeeded }},
		"kind":       {catalog.RunFilter{Kind: domain.Manual}, func(r madeRun) bool { return r.kind == domain.Manual }},
		"worker":     {catalog.RunFilter{Worker: "w1"}, func(r madeRun) bool { return r.worker == "w1" }},
		"error":      {catalog.RunFilter{Error: "ROW 7"}, func(r madeRun) bool { return r.error == "ValueError: row 7" }},
		"schedule":   {catalog.RunFilter{Schedule: &w.schedules[5]}, func(r madeRun) bool { return r.schedule == 5 }},
		"task":       {catalog.RunFilter{Task: "app.t1"}, func(r madeRun) bool { return r.schedule%3 == 1 }},
		"queue":      {catalog.RunFilter{Queue: "q1"}, func(r madeRun) bool { return r.schedule%2 == 1 }},
		"tags":       {catalog.RunFilter{Tags: []string{"all", "tag3"}}, func(r madeRun) bool { return r.schedule%4 == 3 }},
		"no tag":     {catalog.RunFilter{Tags: []string{"none"}}, func(madeRun) bool { return false }},
		"several": {
			catalog.RunFilter{Tags: []string{"tag3"}, Queue: "q1", Statuses: []domain.RunStatus{domain.Failed}, DueFrom: &month},
			func(r madeRun) bool { return r.schedule%4 == 3 && r.status == domain.Failed && !r.due.Before(month) },
		},
		"due":      {catalog.RunFilter{DueFrom: &month, DueTo: &week}, func(r madeRun) bool { return !r.due.Before(month) && r.due.Before(week) }},
		"finished": {catalog.RunFilter{FinishedFrom: &month, FinishedTo: &week}, func(r madeRun) bool { return r.finished != nil && !r.finished.Before(month) && r.finished.Before(week) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want []domain.ID
			for _, r := range w.runs {
				if filter.has(r) {
					want = append(want, r.id)
				}
			}
			for _, size := range []int{1000, 100, 37} {
				var got []domain.ID
				for page := (catalog.Page{Size: size}); ; {
					answer, err := c.Runs(t.Context(), filter.RunFilter, page)
					if err != nil {
						t.Fatal(err)
					}
					if len(answer.Runs) > size {
						t.Errorf("a page of %d has %d", size, len(answer.Runs))
					}
					for _, run := range answer.Runs {
						got = append(got, run.ID)
					}
					if page.Token = answer.NextPageToken; page.Token == "" {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("pages of %d: %d runs, want %d, in order", size, len(got), len(want))
				}
			}
		})
	}
}

// TestRunsSayWhatTheyAre looks at one member of a list, and refuses tokens of other lists.
func TestRunsSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	w := makeRuns(t, pool, 2, 1)
	page, err := catalog.New(pool).Runs(t.Context(), catalog.RunFilter{}, catalog.Page{Size: 10})
	if err != nil || len(page.Runs) != 1 || page.NextPageToken != "" {
		t.Fatalf("%+v, %v", page, err)
	}
	n := w.runs[0].schedule
	if got := page.Runs[0]; *got.ScheduleName != fmt.Sprint("s", n) || *got.TaskName != fmt.Sprint("app.t", n%3) ||
		*got.Queue != fmt.Sprint("q", n%2) || got.StartedAt == nil || got.LatenessSeconds != nil {
		t.Errorf("%+v", got)
	}
	for _, token := range []string{"x", "AAAA", strings.Repeat("f_8", 11)} {
		_, err := catalog.New(pool).Runs(t.Context(), catalog.RunFilter{}, catalog.Page{Size: 10, Token: token})
		if faults := domain.FaultsOf(err); len(faults) != 1 || faults[0].Code != "page_token_invalid" {
			t.Errorf("%q: %v", token, err)
		}
	}
}
