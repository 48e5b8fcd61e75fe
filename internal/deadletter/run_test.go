package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// TestTask has a queue whose key has another type, and a run for which no message can be made; others go on. Once the
// causes are mended, both runs are handed over under the same task ids.
func TestTask(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block("blocked")
	w.carry()
	blocked, good := w.put("blocked"), w.put("good")
	odd := w.put("odd")
	w.sql(`update tactus.schedules set task = jsonb_set(task::jsonb, '{headers}', '{"id":"mine"}')::json where id = $1`, odd.ID)
	refused := w.trigger(blocked)
	unmade := w.trigger(odd)
	letters := w.letters(2)
	w.awaitTasks("good", w.trigger(good))
	slices.SortFunc(letters, func(a, b deadletter.Letter) int { return strings.Compare(b.Reason, a.Reason) })
	for i, run := range []string{unmade, refused} {
		if l := letters[i]; l.Source != tasks || l.Reference != run+"/1" || l.Reason == "" || l.Data == "" {
			t.Errorf("%+v", l)
		}
		if got := w.text(`select status || ' ' || error from tactus.runs where id::text = $1`, run); got != "failed it could not be handed over: "+letters[i].Reason {
			t.Errorf("the run is %s", got)
		}
	}
	w.retry(letters, true, "under the same task id")
	again := w.letters(2) // the causes were not mended
	w.redis.Del(t.Context(), "blocked")
	w.put("odd", describe("its task is written again"))
	w.retry(again, true, "under the same task id")
	w.awaitTasks("blocked", refused)
	w.awaitTasks("odd", unmade)
	w.letters(0)
	w.retry(letters, false, "put back or dropped already")
	w.awaitTasks("blocked", refused)
}

func (w *world) block(queue string) {
	w.Helper()
	if err := w.redis.Set(w.Context(), queue, "not a list", 0).Err(); err != nil {
		w.Fatal(err)
	}
}

// interrupted is a sink whose relay stops as soon as an entry is refused.
type interrupted struct {
	relay.Sink
	refused bool
}

func (s *interrupted) Append(ctx context.Context, at relay.Mark, entries []relay.Entry) (relay.Mark, error) {
	if s.refused {
		<-ctx.Done()
		return at, ctx.Err()
	}
	now, err := s.Sink.Append(ctx, at, entries)
	_, s.refused = errors.AsType[*relay.Refused](err)
	return now, err
}

// TestRetryWhileTheRelayIsDown puts a run back whose relay died before it moved the broker's mark past the run: one of
// the run's two events hands it over.
func TestRetryWhileTheRelayIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.carryTo(&interrupted{Sink: w.broker()})
	good, bad := w.put("good"), w.put("bad")
	first := w.trigger(good)
	w.awaitTasks("good", first)
	w.block("bad")
	run := w.trigger(bad)
	letters := w.letters(1)
	stop()
	w.redis.Del(t.Context(), "bad")
	w.retry(letters, true, "")
	w.carry()
	w.awaitTasks("bad", run)
	second := w.trigger(good)
	w.awaitTasks("good", first, second)
	w.awaitTasks("bad", run)
}

// TestRetryOnce puts the same letters back many times at once.
func TestRetryOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block("q")
	w.carry()
	s := w.put("q")
	var runs []string
	for range 5 {
		runs = append(runs, w.trigger(s))
	}
	letters := w.letters(len(runs))
	w.redis.Del(t.Context(), "q")
	var all sync.WaitGroup
	var again atomic.Int64
	for range 8 {
		all.Go(func() {
			done, err := w.box.Retry(t.Context(), letters)
			if err != nil {
				t.Error(err)
			}
			for _, o := range done {
				if o.Again {
					again.Add(1)
				}
			}
		})
	}
	all.Wait()
	testenv.Eventually(t, "the tasks, in any order: one caller may pass over a letter that another is at", func() error {
		if got := w.handed("q"); !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(runs))) {
			return fmt.Errorf("%v, want %v", got, runs)
		}
		return nil
	})
	if n := again.Load(); n != int64(len(runs)) {
		t.Errorf("%d letters were put back", n)
	}
	if n := w.text(`select count(*)::text from tactus.outbox where topic = 'run' and version = 2`); n != "5" {
		t.Errorf("there are %s events", n)
	}
}

// TestWhatMayHaveRun checks that a run that may have run, or is no longer wanted, stays set aside.
func TestWhatMayHaveRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block("q")
	w.carry()
	s := w.put("q")
	deleted := w.put("deleted", func(d *domain.Definition) { d.Queue = "q" })
	alone := w.put("alone", func(d *domain.Definition) { d.ExecutionPolicy, d.Queue = "skip", "q" })
	cases := []struct{ change, want string }{
		{`status = 'succeeded'`, "its run is succeeded"},
		{`started_at = now()`, "its run is failed, and may"},
		{`worker = 'w'`, "its run is failed, and may"},
		{`heard_at = now()`, "its run is failed, and may"},
		{`error = 'ValueError'`, "its run is failed, and may"},
		{`redelivered = 1`, "its run is failed, and may"},
		{`expires_at = now()`, "has expired"},
		{`id = gen_random_uuid()`, "no longer kept"},
		{`reason = reason`, "is deleted"},
		{`reason = reason`, "must not overlap"},
	}
	of := map[string]string{}
	byRun := map[string]string{}
	for i, c := range cases {
		from := s
		switch i {
		case 8:
			from = deleted
		case 9:
			from = alone
		}
		run := w.trigger(from)
		of[run], byRun[run] = c.want, c.change
	}
	letters := w.letters(len(cases))
	for run, change := range byRun {
		w.sql(`update tactus.runs set `+change+` where id::text = $1`, run)
	}
	if err := w.store.Delete(t.Context(), deleted.ID, 0); err != nil {
		t.Fatal(err)
	}
	w.redis.Del(t.Context(), "q")
	unfinished := w.trigger(alone)
	w.awaitTasks("q", unfinished)
	for _, l := range letters {
		w.retry([]deadletter.Letter{l}, false, of[l.Reference[:36]])
	}
	w.letters(len(cases))
	w.awaitTasks("q", unfinished)
	if dropped, err := w.box.Drop(t.Context(), letters); err != nil || len(dropped) != len(cases) {
		t.Errorf("%d letters dropped, %v", len(dropped), err)
	}
	w.letters(0)
}

// TestLockedLetterIsSkipped has somebody lock one of three letters, and the run of another: neither keeps the third one
// waiting, and both are said to be locked.
func TestLockedLetterIsSkipped(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block("q")
	w.carry()
	s := w.put("q")
	for range 3 {
		w.trigger(s)
	}
	letters := w.letters(3)
	w.redis.Del(t.Context(), "q")
	tx, err := w.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	for sql, id := range map[string]string{
		`select from tactus.deadletters where id = $1::text::bigint for update`:                             letters[0].ID,
		`select from tactus.runs where id = split_part($1::text, '/', 1)::uuid and status <> '' for update`: letters[1].Reference,
	} {
		if tag, err := tx.Exec(t.Context(), sql, id); err != nil || tag.RowsAffected() != 1 {
			t.Fatal(tag, err)
		}
	}
	w.retry(letters[:2], false, "locked")
	w.retry(letters[2:], true, "")
	dropped, err := w.box.Drop(t.Context(), letters[:2])
	if err != nil || len(dropped) != 1 || dropped[0].ID != letters[1].ID {
		t.Errorf("dropped %+v, %v", dropped, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.retry(letters[:1], true, "")
}

// TestTaskOfItsOwn has a run with arguments of its own that could not be handed over: put back, it has them still, also
// when its schedule says something else by then and its first event is gone.
func TestTaskOfItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.block("blocked")
	w.carry()
	s := w.put("named")
	id, err := w.store.TriggerOnce(t.Context(), s.ID, outbox.Manual{With: []byte(`{"queue":"blocked","args":[7]}`)})
	if err != nil {
		t.Fatal(err)
	}
	letters := w.letters(1)
	w.put("named", describe("another version"))
	w.sql(`delete from tactus.outbox where aggregate_id = $1`, id)
	w.redis.Del(t.Context(), "blocked")
	w.retry(letters, true, "under the same task id")
	w.awaitTasks("blocked", id.String())
	if got := w.text(`select data->>'args' from tactus.outbox where aggregate_id = $1`, id); got != "[7]" {
		t.Errorf("it was handed over with %s", got)
	}
}
