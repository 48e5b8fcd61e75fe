package beat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestLockedRow locks the count of one schedule, or the unique key of its next run. The others fire. This schedule
// fires by its misfire policy when the lock is gone: none of its due times is settled before, and the watermark waits.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	for what, lock := range map[string]string{
		"count": `select from tactus.schedule_counts where schedule_id = $1 and $2::timestamptz is not null for update`,
		"key": `insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version)
			values (gen_random_uuid(), $1, $2, 'scheduled', 'due', 1)`,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			for _, policy := range []string{domain.MisfireLatest, domain.MisfireAll} {
				t.Run(policy, func(t *testing.T) {
					t.Parallel()
					lockedRow(t, lock, policy)
				})
			}
		})
	}
}

func lockedRow(t *testing.T, lock, policy string) {
	w := newWorld(t)
	one := w.create(minutely(`, "max_runs": 100, "misfire_policy": "` + policy + `"`))
	var others []domain.Schedule
	for range 20 {
		others = append(others, w.create(minutely(`, "max_runs": 100`)))
	}
	b, a := w.beat("a"), at{one}
	last := at{others[len(others)-1]}
	w.step(b, last.due(1))
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), lock, one.ID, a.due(2)); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 3; n++ {
		w.step(b, last.due(n))
		for _, s := range others {
			if got := w.runs(s.ID); len(got) != n {
				t.Errorf("another has %v", got)
			}
		}
	}
	if err := w.expect(one.ID, a.run(1)); err != nil {
		t.Error(err)
	}
	if got := b.watermark(w.now.UnixMicro()); got >= a.due(2).UnixMicro() {
		t.Errorf("settled up to %v", time.UnixMicro(got))
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, last.due(3).Add(11*time.Second))
	second := a.run(2)
	if policy == domain.MisfireLatest {
		second = a.missed(2, 2, domain.ReasonSuperseded)
	}
	if err := w.expect(one.ID, a.run(1), second, a.run(3)); err != nil {
		t.Error(err)
	}
	if len(b.locks.due) > 0 {
		t.Error("still taken for locked")
	}
}

// TestManyLockedCountsDelayNobody locks the counts of more schedules than one firing would wait for.
func TestManyLockedCountsDelayNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 2 * maxLockWaits {
		w.create(minutely(fmt.Sprintf(`, "name": "limited%d", "max_runs": 100`, n)))
	}
	s := w.create(minutely(""))
	b, a := w.beat("a"), at{s}
	w.step(b, a.due(1))
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `update tactus.schedule_counts set fired = fired`); err != nil {
		t.Fatal(err)
	}
	w.setClock(a.due(2))
	if err := b.fire(t.Context(), a.due(2).UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if err := w.expect(s.ID, a.run(1), a.run(2)); err != nil {
		t.Error(err)
	}
	if b.locks.waits > 0 {
		t.Errorf("it has waited for %d locks", b.locks.waits)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, a.due(2).Add(11*time.Second))
	if n := w.count(`select count(*) from tactus.runs where due_at >= $1`, a.due(2)); n < 2*maxLockWaits+1 {
		t.Errorf("%d have fired after all", n)
	}
}

// TestLockedTableOfCounts has a session that locks the whole table of the counts, as rebuilding an index does, or that
// waits for such a lock. Schedules that do not count their runs fire, the others fire when the table is free, and this
// is logged.
func TestLockedTableOfCounts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := w.create(fmt.Sprintf(`{"task_name": "a", "run_at": %q}`, w.now.Add(2*time.Minute).Format(time.RFC3339)))
	limited, s := w.create(minutely(`, "max_runs": 100, "misfire_policy": "all"`)), w.create(minutely(""))
	b, told := w.listenTo("a")
	a, l := at{s}, at{limited}
	w.step(b, a.due(1))
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.schedule_counts in share mode`); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 4; n++ {
		w.step(b, a.due(n)) // it fails when a statement of it waits for as long as it may
		if b.locks.waits > 0 {
			t.Errorf("firing has waited for %d locks", b.locks.waits)
		}
		if runs := w.runs(s.ID); len(runs) != n {
			t.Errorf("what counts nothing has %v", runs)
		}
	}
	if got := b.watermark(w.now.UnixMicro()); got >= l.due(2).UnixMicro() {
		t.Errorf("settled up to %v", time.UnixMicro(got))
	}
	if !strings.Contains(told.String(), "tactus.schedule_counts") {
		t.Errorf("it is not told:\n%s", told)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(b, a.due(4).Add(11*time.Second))
	if err := w.expect(limited.ID, l.run(1), l.run(2), l.run(3), l.run(4)); err != nil {
		t.Error(err)
	}
	if runs := w.runs(once.ID); len(runs) != 1 {
		t.Errorf("what is due once has %v", runs)
	}
	if !strings.Contains(told.String(), "goes on") {
		t.Error("that it is over is not told")
	}
}

// TestCountsThatNobodyCanRead locks the table of the counts even against readers, as VACUUM FULL does. Schedules that
// are changed or created meanwhile are read and fire soon, even by a beat that starts then; only schedules that count
// their runs wait. No schedule that had used up its runs fires.
func TestCountsThatNobodyCanRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := w.create(fmt.Sprintf(`{"task_name": "a", "run_at": %q}`, w.now.Add(time.Second).Format(time.RFC3339)))
	usedUp := w.create(minutely(`, "max_runs": 1`))
	limited := w.create(minutely(`, "max_runs": 100, "misfire_policy": "all"`))
	changed, s := w.create(minutely("")), w.create(minutely(""))
	b, told := w.listenTo("a")
	a, l := at{s}, at{limited}
	w.step(b, a.due(1))
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.schedule_counts in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	w.setClock(a.due(1).Add(90 * time.Second))
	anew := w.merge(changed.ID, `{"interval_seconds": 30}`)
	created := w.create(minutely(""))
	w.merge(usedUp.ID, `{"description": "changed"}`)
	w.merge(once.ID, `{"description": "changed"}`)
	w.step(b, w.now) // it fails when a statement of it waits for as long as it may
	w.step(b, at{created}.due(1))
	if err := w.expect(created.ID, at{created}.run(1)); err != nil {
		t.Error(err)
	}
	if runs := w.runs(anew.ID); len(runs) < 2 {
		t.Errorf("what was changed has %v", runs)
	}
	if runs := w.runs(s.ID); len(runs) != 3 {
		t.Errorf("what counts nothing has %v", runs)
	}
	w.endBeat(b, "crash")
	next, _ := w.listenTo("b")
	w.step(next, a.due(5))
	if runs := w.runs(s.ID); len(runs) != 5 {
		t.Errorf("by another beat, what counts nothing has %v", runs)
	}
	if !strings.Contains(told.String(), "without the counts") {
		t.Errorf("it is not told:\n%s", told)
	}
	if runs := w.runs(limited.ID); len(runs) != 1 {
		t.Errorf("what counts has %v", runs)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.step(next, a.due(5).Add(11*time.Second))
	if err := w.expect(limited.ID, l.run(1), l.run(2), l.run(3), l.run(4), l.run(5)); err != nil {
		t.Error(err)
	}
	for _, id := range []domain.ID{once.ID, usedUp.ID} {
		if runs := w.runs(id); len(runs) != 1 {
			t.Errorf("what had used up its runs has %v", runs)
		}
	}
}
