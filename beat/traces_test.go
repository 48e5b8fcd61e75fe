package beat

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
)

// recorder implements Traces. It samples all runs, and keeps what a beat records.
type recorder struct {
	mu     sync.Mutex
	fired  map[domain.ID]domain.ID // the schedules, by run
	synced []Synced
}

func (r *recorder) Samples(domain.ID) bool { return true }

func (r *recorder) Fired(f Fired) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fired[f.Run] = f.Schedule
}

func (r *recorder) Synced(s Synced) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.synced = append(r.synced, s)
}

// TestOnlyWhatHasFiredIsTraced has two schedules fire together, and then one of them alone, while the other's due time
// is skipped.
func TestOnlyWhatHasFiredIsTraced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := &recorder{fired: map[domain.ID]domain.ID{}}
	b := w.beatWith(w.pool, Config{Name: "a", Traces: told})
	b.parallel = sideBySide{1, 1} // both by one statement
	skips, due := w.minutely("skip")
	always, _ := w.minutely("allow")
	for _, at := range due[:3] {
		w.step(b, at)
	}
	w.want(skips, "due, skipped, skipped")
	w.want(always, "due, due, due")
	rows, err := w.pool.Query(t.Context(), `select id, schedule_id from tactus.runs where status = 'due'`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[domain.ID]domain.ID{}
	var run, schedule domain.ID
	if _, err := pgx.ForEachRow(rows, []any{&run, &schedule}, func() error {
		want[run] = schedule
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, told.fired); diff != "" {
		t.Errorf("what is told of has not fired, or the other way round:\n%s", diff)
	}
}

// TestChangesAreTracedWhenMemoryHasThem sends a beat a change with a trace, and one without.
func TestChangesAreTracedWhenMemoryHasThem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := &recorder{}
	b := w.beatWith(w.pool, Config{Name: "a", Traces: told})
	s, other := w.create(minutely(``)), w.create(minutely(``))
	m := w.told(s.ID, 1, "e")
	m.Metadata.Set("traceparent", "of the change")
	b.inbox.notices <- b.hear(m)
	b.inbox.notices <- b.hear(w.told(other.ID, 1, "e"))
	if len(told.synced) > 0 {
		t.Errorf("told before memory has it: %+v", told.synced)
	}
	w.step(b, w.now)
	w.step(b, w.now)
	if len(told.synced) != 1 || told.synced[0].Schedule != s.ID || told.synced[0].Trace != "of the change" {
		t.Errorf("told %+v", told.synced)
	}
	if off := w.beat("b").hear(m); off.trace != nil {
		t.Errorf("a beat that records nothing keeps %+v", off.trace)
	}
}
