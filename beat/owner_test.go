package beat

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
)

// owners are beats that contend for a lease, with the history of their operations. The clock does not move during an
// operation, so each operation happens at one time.
type owners struct {
	*world
	clock sync.RWMutex
	began time.Time

	contests uint64

	mu      sync.Mutex
	history []porcupine.Operation
	numbers map[dueTime]int
	epochs  int64 // the number of terms
	refused int   // statements of old epochs
	again   int   // statements that found due times fired already
}

type dueTime struct {
	schedule domain.ID
	at       memory.Micros
}

const ownerCount, ownerRounds, mostContests = 4, 150, 20

// TestOneOwnerAnEpoch makes beats ask for the lease, fire, stop, crash, sleep between deciding and firing, and lose
// answers, all concurrently. There must be an order of all operations in which each term has one owner, and no due time
// fires twice.
func TestOneOwnerAnEpoch(t *testing.T) {
	t.Parallel()
	o := newOwners(t)
	for n := 0; n < mostContests && !o.enough(); n++ {
		o.contend()
	}
	if got := o.judge(); got != porcupine.Ok {
		t.Errorf("no order explains what happened: %s", got)
		o.tell()
	}
	t.Logf("%d operations, %d epochs, %d due times; %d statements of old epochs were refused, %d found due times fired", len(o.history), o.epochs, len(o.numbers), o.refused, o.again)
	if !o.enough() {
		t.Error("this shows little")
	}
}

// TestTwoOwnersAreNoticed breaks each mechanism that keeps owners apart, one at a time. If the model could explain the
// resulting histories, TestOneOwnerAnEpoch would prove nothing.
func TestTwoOwnersAreNoticed(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]string{
		"an epoch has two owners": `
create function own.one_epoch() returns trigger language plpgsql as 'begin new.epoch := greatest(old.epoch, 1); return new; end';
create trigger one_epoch before update on tactus.leases for each row execute function own.one_epoch()`,
		"a lease is taken that still runs": `
create function own.short() returns trigger language plpgsql as 'begin new.expires_at := new.expires_at - interval ''9 s''; return new; end';
create trigger short before update on tactus.leases for each row execute function own.short()`,
		"a due time fires twice": `
create function own.any_slot() returns trigger language plpgsql as 'begin new.slot := gen_random_uuid(); return new; end';
create trigger any_slot before insert on tactus.runs for each row execute function own.any_slot()`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOwners(t, spoil)
			for range mostContests {
				if o.contend(); o.judge() == porcupine.Illegal {
					return
				}
			}
			t.Error("this is taken for an order in which all is well")
		})
	}
}

// newOwners makes owners with schedules and a free lease, and then applies changes to the database.
func newOwners(t *testing.T, changes ...string) *owners {
	t.Helper()
	o := &owners{world: newWorld(t), began: time.Now(), numbers: map[dueTime]int{}}
	for range 3 {
		o.create(`{"interval_seconds": 5, "misfire_policy": "all", "task_name": "app.task"}`)
	}
	if _, err := o.pool.Exec(t.Context(), makeLeaseSQL, named{"name": "beat"}); err != nil {
		t.Fatal(err)
	}
	for _, sql := range changes {
		if _, err := o.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// contend lets owners contend for a while.
func (o *owners) contend() {
	o.contests++
	var contending sync.WaitGroup
	for n := range ownerCount {
		a := &owner{o, n, rand.New(rand.NewPCG(o.contests, uint64(n))), nil}
		contending.Go(func() {
			if err := a.live(); err != nil {
				o.Errorf("owner %d: %v", n, err)
			}
		})
	}
	contending.Wait()
}

// owner is the name of a beat, which crashes and starts several times.
type owner struct {
	*owners
	n      int
	random *rand.Rand
	beat   *Beat
}

func (a *owner) live() error {
	if err := a.begin(); err != nil {
		return err
	}
	for range ownerRounds {
		var err error
		switch a.random.IntN(10) {
		case 0:
			a.sleep()
		case 1:
			err = a.stop()
		case 2:
			err = a.begin() // after a crash
		case 3, 4, 5, 6:
			err = a.fire()
		default:
			err = a.ask()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *owner) begin() (err error) {
	a.clock.RLock()
	defer a.clock.RUnlock()
	if a.beat, err = New(a.pool, nil, Config{Name: fmt.Sprint("owner-", a.n)}); err != nil {
		return err
	}
	a.beat.parallel = sideBySide{2, 1} // also of few due times
	return a.beat.start(a.Context())
}

// sleep moves the shared clock, sometimes so far that a lease runs out. The other owners go on meanwhile.
func (a *owner) sleep() {
	most := []time.Duration{time.Second, 4 * time.Second, 15 * time.Second}[a.random.IntN(3)]
	a.pass(time.Duration(a.random.Int64N(int64(most))))
	select {
	case <-a.Context().Done():
	case <-time.After(10 * time.Millisecond):
	}
}

func (o *owners) pass(d time.Duration) {
	o.clock.Lock()
	defer o.clock.Unlock()
	o.setClock(o.now.Add(d))
}

// ask asks for the lease. One answer in eight is lost: the beat goes on as if it had not asked.
func (a *owner) ask() error {
	a.clock.RLock()
	defer a.clock.RUnlock()
	now := a.now.UnixMicro()
	in := asksLease{a.beat.holder, a.beat.lease.term, now}
	return a.did(in, func() (any, error) {
		if a.random.IntN(8) == 0 {
			row, err := a.beat.queryLease(a.Context(), renewLeaseSQL, a.beat.leaseArgs(now))
			if !row.Mine {
				row.Term = 0
			}
			return leaseAnswer{row.Mine, row.Term}, err
		}
		err := a.beat.renew(a.Context(), now)
		return leaseAnswer{a.beat.lease.term != 0, a.beat.lease.term}, err
	})
}

func (a *owner) stop() error {
	a.clock.RLock()
	now := a.now.UnixMicro()
	err := a.did(givesUp{a.beat.holder, a.beat.lease.term, now}, func() (any, error) { return nil, a.beat.release(a.Context(), now) })
	a.clock.RUnlock()
	if err != nil {
		return err
	}
	return a.begin()
}

// fire decides what to fire and, sometimes after a sleep, fires it. One answer in three is lost: then memory does not
// move on.
func (a *owner) fire() error {
	if !a.beat.lease.leading {
		return nil
	}
	a.clock.RLock()
	due, err := a.beat.collect(a.Context(), a.now.UnixMicro())
	a.clock.RUnlock()
	defer a.beat.putBack(&due)
	if err != nil || len(due.decisions) == 0 {
		return err
	}
	if a.random.IntN(3) == 0 {
		a.sleep()
	}
	a.clock.RLock()
	defer a.clock.RUnlock()
	var out outcome
	err = a.did(fires{a.beat.lease.term, a.number(due.decisions)}, func() (_ any, err error) {
		out, err = a.beat.settleOrBisect(a.Context(), due.decisions)
		return fireAnswer{out.Held, int(out.Recorded)}, err
	})
	switch {
	case err != nil || a.random.IntN(3) == 0:
	case !out.Held:
		a.beat.lose("another")
	default:
		a.beat.moveOn(due, out, a.beat.lease.maybeSettled)
	}
	return err
}

// did performs an operation, and records it with its answer.
func (o *owners) did(in any, act func() (any, error)) error {
	called := time.Since(o.began).Nanoseconds()
	out, err := act()
	returned := time.Since(o.began).Nanoseconds()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.history = append(o.history, porcupine.Operation{Input: in, Call: called, Output: out, Return: returned})
	switch out := out.(type) {
	case leaseAnswer:
		o.epochs = max(o.epochs, out.epoch)
	case fireAnswer:
		if !out.held {
			o.refused++
		} else if out.recorded < len(in.(fires).due) {
			o.again++
		}
	}
	return err
}

// enough reports whether the history contains every kind of event that is to be judged.
func (o *owners) enough() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.epochs > 3 && o.refused > 0 && o.again > 0
}

func (o *owners) number(items []memory.Decision) (all []int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, it := range items {
		at := dueTime{it.Schedule, it.Due}
		if _, known := o.numbers[at]; !known {
			o.numbers[at] = len(o.numbers)
		}
		all = append(all, o.numbers[at])
	}
	return all
}

func (o *owners) judge() porcupine.CheckResult {
	o.Helper()
	if len(o.numbers) > mostDueTimes {
		o.Fatalf("%d due times: the model has room for %d", len(o.numbers), mostDueTimes)
	}
	return porcupine.CheckOperationsTimeout(ownerModel, o.history, time.Minute)
}

func (o *owners) tell() {
	for _, op := range o.history {
		o.Logf("%10d to %10d  %s", op.Call, op.Return, ownerModel.DescribeOperation(op.Input, op.Output))
	}
}
