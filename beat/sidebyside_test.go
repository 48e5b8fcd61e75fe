package beat

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

// TestBySchedule divides random decisions: none is lost, the order stays, no schedule is in two groups, and no group is
// empty.
func TestBySchedule(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	several := 0
	for range 5000 {
		var decisions []memory.Decision
		for range random.IntN(12) {
			for s, n := outbox.NewID(), 1+random.IntN(4); n > 0; n-- {
				decisions = append(decisions, memory.Decision{Schedule: s, Due: memory.Micros(len(decisions))})
			}
		}
		n := random.IntN(6)
		groups := bySchedule(decisions, n)
		var together []memory.Micros
		in := map[domain.ID]int{}
		for i, group := range groups {
			if len(group) == 0 {
				t.Fatalf("%d decisions in %d groups: group %d is empty", len(decisions), n, i)
			}
			for _, d := range group {
				together = append(together, d.Due)
				if was, known := in[d.Schedule]; known && was != i {
					t.Fatalf("%d decisions in %d groups: a schedule is in groups %d and %d", len(decisions), n, was, i)
				}
				in[d.Schedule] = i
			}
		}
		if len(together) != len(decisions) || !slices.IsSorted(together) {
			t.Fatalf("%d decisions became %v", len(decisions), together)
		}
		if len(groups) > max(n, 1) {
			t.Fatalf("%d groups, of at most %d", len(groups), n)
		}
		if len(groups) > 1 {
			several++
		}
	}
	if several < 1000 {
		t.Errorf("only %d of 5,000 cases had several groups", several)
	}
}

// together has schedules that are due at the same instants, and a beat that fires them by three statements at once.
type together struct {
	*world
	beat *Beat
	all  []at
}

func newTogether(t *testing.T, members string) *together {
	t.Helper()
	g := &together{world: newWorld(t)}
	g.beat = g.world.beat("a")
	for range 30 {
		g.all = append(g.all, at{g.create(minutely(members))})
	}
	g.step(g.beat, g.now.Add(2*time.Second))
	return g
}

// statements returns how many statements, each a transaction, have written runs.
func (g *together) statements() int {
	g.Helper()
	return g.count(`select count(distinct xmin::text) from tactus.runs`)
}

// TestSideBySide fires schedules that are due at one instant by several statements. In one of them a schedule is
// locked, and in another one a schedule cannot be fired at all: all others fire, once.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	g := newTogether(t, ``)
	due := g.all[0].due(1)
	for _, sound := range []bool{true, false} {
		if !sound {
			due = due.Add(time.Minute)
			bad := `update tactus.schedules set task = '[1]' where id = $1`
			if _, err := g.pool.Exec(t.Context(), bad, g.all[25].s.ID); err != nil {
				t.Fatal(err)
			}
			tx, err := g.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := tx.Rollback(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			_, err = tx.Exec(t.Context(), `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
				values (gen_random_uuid(), $1, $2, 'scheduled', 'due', 1)`, g.all[3].s.ID, due)
			if err != nil {
				t.Fatal(err)
			}
		}
		g.step(g.beat, due)
		if n := g.statements(); sound && n != 3 {
			t.Errorf("fired by %d statements, not by 3", n)
		}
		for i, a := range g.all {
			want := []string{a.run(1)}
			if !sound && i == 25 {
				want = append(want, a.missed(2, 2, domain.ReasonAside))
			} else if !sound && i != 3 {
				want = append(want, a.run(2))
			}
			if err := g.expect(a.s.ID, want...); err != nil {
				t.Errorf("schedule %d: %v", i, err)
			}
		}
	}
}

// TestOneOfSeveralFails makes one of several statements fail for a reason that does not concern its data. The others
// have committed, which memory does not know. The beat continues in a new term: no due time is lost, none has both a
// run and a reason, and the range that was recorded hides no other range of missed due times.
func TestOneOfSeveralFails(t *testing.T) {
	t.Parallel()
	g := newTogether(t, ``)
	g.step(g.beat, g.all[0].due(1))
	_, err := g.pool.Exec(t.Context(), fmt.Sprintf(`
create function own.breaks() returns trigger language plpgsql as
    $$begin raise exception 'the disk has a fault' using errcode = '58030'; end$$;
create trigger breaks before insert on tactus.runs for each row when (new.schedule_id = '%s')
    execute function own.breaks()`, g.all[20].s.ID))
	if err != nil {
		t.Fatal(err)
	}
	first := g.all[0].due(11).Add(30 * time.Second)
	g.setClock(first)
	if err := g.beat.fire(t.Context(), first.UnixMicro()); err == nil {
		t.Fatal("firing told of no error")
	}
	settled := g.count(`select count(distinct schedule_id) from tactus.runs where due_at > $1`, g.all[0].due(1))
	if settled == 0 || settled == 30 {
		t.Fatalf("%d of 30 schedules were settled: want some", settled)
	}
	if _, err := g.pool.Exec(t.Context(), `drop trigger breaks on tactus.runs`); err != nil {
		t.Fatal(err)
	}
	g.step(g.beat, g.all[0].due(20).Add(30*time.Second))
	early, late := 0, 0
	for i, a := range g.all {
		settledFirst := []string{
			a.run(1), a.missed(2, 10, domain.ReasonSuperseded), a.run(11), a.missed(12, 19, domain.ReasonSuperseded), a.run(20),
		}
		settledLater := []string{a.run(1), a.missed(2, 19, domain.ReasonSuperseded), a.run(20)}
		switch runs := g.runs(a.s.ID); {
		case slices.Equal(runs, settledFirst):
			early++
		case slices.Equal(runs, settledLater):
			late++
		default:
			t.Errorf("schedule %d: %q", i, runs)
		}
	}
	if early == 0 || late == 0 {
		t.Errorf("%d were settled by the firing that failed, %d by the next", early, late)
	}
	if !g.beat.lease.leading || g.beat.lease.term != 2 {
		t.Errorf("leading: %v, in term %d, not 2", g.beat.lease.leading, g.beat.lease.term)
	}
}
