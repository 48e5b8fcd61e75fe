package beat

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// period is a time in which a schedule counts its due times from one instant, until a change ends it.
type period struct {
	schedule domain.Schedule
	until    time.Time // zero while it lasts
}

// history is a random history of several days. Two beats at a time crash, stop, sleep and wake, and schedules are
// created, edited, disabled, enabled and deleted, some in transactions that commit late.
type history struct {
	*world
	random      *rand.Rand
	beats       [2]*Beat
	periods     []period
	longTx      pgx.Tx          // a long transaction
	createdInTx domain.Schedule // created in longTx
}

// TestDaysOfFaults plays a history of several days, and then accounts for every due time.
func TestDaysOfFaults(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			h := newHistory(t, seed)
			h.liveThrough(150)
			for _, fault := range h.account() {
				t.Error(fault)
			}
		})
	}
}

// TestAccountNoticesALostKey plays a history without the unique key of due times: a trigger gives each row a slot of
// its own. If account found no fault then, TestDaysOfFaults would prove nothing.
func TestAccountNoticesALostKey(t *testing.T) {
	t.Parallel()
	h := newHistory(t, 1)
	_, err := h.pool.Exec(t.Context(), `
create function own.any_slot() returns trigger language plpgsql as 'begin new.slot := gen_random_uuid(); return new; end';
create trigger any_slot before insert on tactus.runs for each row execute function own.any_slot()`)
	if err != nil {
		t.Fatal(err)
	}
	h.liveThrough(150)
	if len(h.account()) == 0 {
		t.Error("due times have several rows, and the account is in order")
	}
}

func newHistory(t *testing.T, seed uint64) *history {
	t.Helper()
	h := &history{world: newWorld(t), random: rand.New(rand.NewPCG(seed, 1))}
	for i := range h.beats {
		h.beats[i] = h.beat(fmt.Sprint("beat-", i))
	}
	return h
}

// liveThrough plays a number of moments, and lets a healthy beat settle the rest.
func (h *history) liveThrough(moments int) {
	for range moments {
		h.setClock(h.now.Add(h.pause()))
		h.change()
		h.fault()
		for _, i := range h.random.Perm(len(h.beats)) {
			if h.random.IntN(4) > 0 {
				h.step(h.beats[i], h.now)
			}
		}
	}
	if h.longTx != nil {
		if err := h.longTx.Rollback(h.Context()); err != nil {
			h.Fatal(err)
		}
	}
	for range 2 { // the lease may have to run out first
		h.setClock(h.now.Add(leaseTime + time.Second))
		h.step(h.beats[0], h.now)
	}
}

// pause returns mostly seconds, sometimes more than the lease or the grace, seldom hours.
func (h *history) pause() time.Duration {
	most := []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second, 20 * time.Second, 5 * time.Minute, 3 * time.Hour}[h.random.IntN(6)]
	return time.Duration(h.random.Int64N(int64(most))).Truncate(time.Millisecond)
}

// fault does something to a beat: mostly nothing.
func (h *history) fault() {
	i := h.random.IntN(len(h.beats))
	switch h.random.IntN(12) {
	case 0:
		h.stop(h.beats[i])
		h.beats[i] = h.beat(fmt.Sprint("beat-", i))
	case 1: // a crash: the lease stays until it runs out
		h.beats[i] = h.beat(fmt.Sprint("beat-", i))
	case 2: // a crash after a commit, before memory moved on
		b := h.beats[i]
		if due, err := b.collect(h.Context(), h.now.UnixMicro()); err != nil {
			h.Fatal(err)
		} else if len(due.decisions) > 0 {
			half := due.decisions[:(len(due.decisions)+1)/2]
			if _, err := b.settleOrBisect(h.Context(), half); err != nil {
				h.Fatal(err)
			}
		}
		h.beats[i] = h.beat(fmt.Sprint("beat-", i))
	}
}

// change changes one schedule, or makes one.
func (h *history) change() {
	if h.random.IntN(3) > 0 {
		return
	}
	if h.longTx != nil {
		if err := h.longTx.Commit(h.Context()); err != nil {
			h.Fatal(err)
		}
		h.periods, h.longTx = append(h.periods, period{schedule: h.createdInTx}), nil
		return
	}
	if h.random.IntN(5) == 0 {
		tx, err := h.pool.Begin(h.Context())
		if err != nil {
			h.Fatal(err)
		}
		h.longTx, h.createdInTx = tx, h.createIn(tx, h.definition())
		return
	}
	if len(h.periods) < 8 {
		h.periods = append(h.periods, period{schedule: h.create(h.definition())})
		return
	}
	n := h.random.IntN(len(h.periods))
	if h.periods[n].until.IsZero() {
		h.periods[n] = h.changed(h.periods[n])
	}
}

// changed ends a period by a change, or continues it if the change moves no due time.
func (h *history) changed(l period) period {
	id, ended := l.schedule.ID, period{l.schedule, h.now}
	switch h.random.IntN(5) {
	case 0:
		if err := h.store.Delete(h.Context(), id, 0); err != nil {
			h.Fatal(err)
		}
		return ended
	case 1:
		if _, err := h.store.SetEnabled(h.Context(), id, 0, false); err != nil {
			h.Fatal(err)
		}
		h.setClock(h.now.Add(h.pause()))
		again, err := h.store.SetEnabled(h.Context(), id, 0, true)
		if err != nil {
			h.Fatal(err)
		}
		h.periods = append(h.periods, period{schedule: again})
		return ended
	case 2:
		anchor := fmt.Sprintf(`{"interval_anchor": "2026-01-01T00:00:%02d.%03dZ"}`, h.random.IntN(60), h.random.IntN(1000))
		h.periods = append(h.periods, period{schedule: h.merge(id, anchor)})
		return ended
	default:
		patch := fmt.Sprintf(`{"description": "%d", "misfire_policy": %q}`, h.random.Int(), h.policy())
		return period{schedule: h.merge(id, patch)}
	}
}

func (h *history) policy() string { return []string{"latest", "all", "none"}[h.random.IntN(3)] }

func (h *history) definition() string {
	return fmt.Sprintf(`{"interval_seconds": %d, "misfire_policy": %q, "misfire_grace_seconds": %d, "task_name": "app.task"}`,
		[]int{1, 7, 60, 600}[h.random.IntN(4)], h.policy(), []int{1, 2, 60}[h.random.IntN(3)])
}
