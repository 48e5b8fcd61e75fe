package catalog_test

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestSchedulesAreListedInOrders reads lists in each order, in pages of several sizes, and compares them with the
// schedules that the test has made.
func TestSchedulesAreListedInOrders(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	type made struct {
		id    domain.ID
		n     int
		name  string
		queue string
		last  int // minutes ago, of its newest run
	}
	var all []made
	for n := range 30 {
		m := made{n: n, name: fmt.Sprint("s", (n*7)%30), queue: fmt.Sprint("q", n%3), last: (n * 11) % 30}
		s, err := store.Create(t.Context(), domain.Definition{
			Name: m.name, TaskName: "app.t", Queue: m.queue, Tags: []string{fmt.Sprint("tag", n%2)}, CronExpression: fmt.Sprintf("%d 0 1 1 *", (n*13)%60),
		}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		m.id = s.ID
		all = append(all, m)
		status := domain.Succeeded
		if n%5 == 0 {
			status = domain.Failed
		}
		if _, err := pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, fired_at, kind, status, schedule_version)
			select $1, $2, at, at, 'scheduled', $3, 1 from (select now() - $4 * interval '1 minute' as at) m`, outbox.NewID(), s.ID, status, m.last); err != nil {
			t.Fatal(err)
		}
		if n == 4 { // a missed due time is not a run
			if _, err := pool.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, fired_at, kind, status, schedule_version)
				select gen_random_uuid(), $1, at, at, 'scheduled', 'missed', 1
				from (select now() - k * interval '100 milliseconds' as at from generate_series(1, 150) k) m`, s.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	c := catalog.New(pool)
	orders := map[catalog.Order]func(a, b made) int{
		catalog.ByNewest: func(a, b made) int { return b.n - a.n },
		catalog.ByName:   func(a, b made) int { return cmp.Compare(a.name, b.name) },
		catalog.ByNext:   func(a, b made) int { return (a.n*13)%60 - (b.n*13)%60 },
		catalog.ByLast:   func(a, b made) int { return a.last - b.last },
	}
	for name, filter := range map[string]struct {
		catalog.Filter
		has func(made) bool
	}{
		"all":         {catalog.Filter{}, func(made) bool { return true }},
		"queue":       {catalog.Filter{Queue: "q1"}, func(m made) bool { return m.queue == "q1" }},
		"last status": {catalog.Filter{LastStatus: domain.Failed, Tags: []string{"tag0"}}, func(m made) bool { return m.n%10 == 0 }},
		"none":        {catalog.Filter{Queue: "none"}, func(made) bool { return false }},
	} {
		for order, less := range orders {
			var want []domain.ID
			sorted := slices.Clone(all)
			slices.SortStableFunc(sorted, less)
			for _, m := range sorted {
				if filter.has(m) {
					want = append(want, m.id)
				}
			}
			for _, size := range []int{100, 7, 1} {
				var got []domain.ID
				for page := (catalog.Page{Size: size}); ; {
					answer, err := c.Schedules(t.Context(), filter.Filter, order, page)
					if err != nil {
						t.Fatalf("%s by %q: %v", name, order, err)
					}
					for _, s := range answer.Schedules {
						got = append(got, s.ID)
					}
					if page.Token = answer.NextPageToken; page.Token == "" {
						break
					}
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s by %q, pages of %d: %v, want %v", name, order, size, got, want)
				}
			}
		}
	}
}
