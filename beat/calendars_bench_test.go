package beat

import (
	"crypto/md5"
	"fmt"
	"log/slog"
	"syscall"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/beat/memory"
	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// manyByCalendar returns a memory with n schedules that go by one calendar: a hundred triggers in Tokyo.
func manyByCalendar(tb testing.TB, n int, on string) *memory.Memory {
	tb.Helper()
	return manyBy(tb, n, on, tokyoClosed(tb))
}

func manyBy(tb testing.TB, n int, on string, closed *calendar.Set) *memory.Memory {
	tb.Helper()
	m := memory.New(domain.DefaultTakeover)
	m.SetCalendar("closed", 1, 0, closed)
	policy := fmt.Appendf(nil, `{"misfire":"latest","window":86400,"grace":60,"calendars":{"exclude":["closed"],"on_excluded":%q,`+
		`"timezone":"Asia/Tokyo","dst_gap":"auto","dst_overlap":"auto"}}`, on)
	if on == "" {
		policy = []byte(`{"misfire":"latest","window":86400,"grace":60}`)
	}
	for i := range n {
		id := domain.ID{0: 1, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}
		trigger := fmt.Appendf(nil, `{"cron":"%d 9 * * 1-5","dialect":"celery","timezone":"Asia/Tokyo","gap":"auto","overlap":"auto"}`, i%100%60)
		row := memory.Row{ID: id, Version: 1, Effective: noonOfBench.UnixMicro(), Trigger: trigger, Policy: policy}
		if err := m.Put(row, memory.Always); err != nil {
			tb.Fatal(err)
		}
	}
	return m
}

var noonOfBench = time.Date(2026, 12, 29, 3, 0, 0, 0, time.UTC)

func tokyoClosed(tb testing.TB, more ...string) *calendar.Set {
	tb.Helper()
	items := []calendar.Item{
		{From: "2000-01-01", To: "2000-01-02", RRule: "FREQ=WEEKLY"}, {From: "2026-12-31", To: "2027-01-03"}, {From: "2027-01-11"},
	}
	for _, day := range more {
		items = append(items, calendar.Item{From: day})
	}
	set, err := calendar.Compile(items)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// TestChangeOfManyInSlices changes a calendar that 100,000 schedules use. Each slice moves few of them, a schedule that
// comes due before its turn goes by the new calendar, and in the end all do.
func TestChangeOfManyInSlices(t *testing.T) {
	t.Parallel()
	const n = 100_000
	m := manyByCalendar(t, n, calendar.NextAllowed)
	first := time.Date(2026, 12, 30, 0, 0, 0, 0, time.UTC)
	if got := time.UnixMicro(m.NextFire()).UTC(); !got.Equal(first) {
		t.Fatalf("first due at %s", got)
	}
	m.SetCalendar("closed", 2, first.Add(-time.Hour).UnixMicro(), tokyoClosed(t, "2026-12-30"))
	slices, most := 0, 0
	for ; m.Sweeping(); slices++ {
		most = max(most, m.Sweep(sweepBudget))
		if slot := m.Pop(memory.Light); m.Outdated(slot) {
			m.Renew(slot)
			if due := m.At(slot).Due; due != time.Date(2027, 1, 4, 0, 0, 0, 0, time.UTC).UnixMicro() && due <= first.Add(time.Hour).UnixMicro() {
				t.Fatalf("due at %s on a day that is closed", time.UnixMicro(due))
			}
			m.Push(slot)
		} else {
			m.Push(slot)
		}
	}
	if most > 1100 || slices < n/1100 {
		t.Errorf("%d slices, of at most %d schedules", slices, most)
	}
	if want := time.Date(2027, 1, 4, 0, 0, 0, 0, time.UTC); m.NextFire() != want.UnixMicro() {
		t.Errorf("first due at %s, want %s", time.UnixMicro(m.NextFire()).UTC(), want)
	}
}

// TestDearSchedulesInSlices changes a calendar by which schedules with distinct triggers are never due, which is
// expensive to find out. A slice spends no more time on them than on others, and syncs that read such schedules become
// smaller.
func TestDearSchedulesInSlices(t *testing.T) {
	t.Parallel()
	m := memory.New(time.Minute)
	since := time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	for n := range 400 {
		id := domain.ID(md5.Sum(fmt.Append(nil, n)))
		row := memory.Row{
			ID: id, Version: 1, Effective: since, Trigger: fmt.Appendf(nil, `{"cron":"%d %d * * *","timezone":"UTC"}`, n%60, 18+n/60%6),
			Policy: []byte(`{"calendars":{"only":["hours"],"on_excluded":"next_allowed","timezone":"UTC"}}`),
		}
		if err := m.Put(row, memory.Always); err != nil {
			t.Fatal(err)
		}
	}
	set, err := calendar.Compile([]calendar.Item{{From: "2026-01-05T09:00", To: "2026-01-05T17:00", RRule: "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"}})
	if err != nil {
		t.Fatal(err)
	}
	m.SetCalendar("hours", 1, since, set)
	slices := 0
	for ; m.Sweeping(); slices++ {
		before := m.Reckoned()
		m.Sweep(sweepBudget)
		if spent := m.Reckoned() - before; spent > sweepBudget+2*calendar.MaxSteps {
			t.Fatalf("%d steps in a slice", spent)
		}
	}
	if slices < 5 {
		t.Errorf("%d slices, after %d steps", slices, m.Reckoned())
	}
	if next := syncNext(500, 0, 500*calendar.MaxSteps); next >= 500 || syncNext(next, 0, 0) < syncAtLeast {
		t.Errorf("%d schedules are read after 500 dear ones, %d after those", next, syncNext(next, 0, 0))
	}
}

// TestCalendarsCostARecordNothing compares the memory of schedules that go by a calendar with that of others. The
// calendar itself is kept once.
func TestCalendarsCostARecordNothing(t *testing.T) {
	const n = 100_000
	closed := tokyoClosed(t)
	manyBy(t, 100, calendar.NextAllowed, closed) // the zone is loaded
	each := func(on string) float64 {
		before := heap()
		m := manyBy(t, n, on, closed)
		size := float64(heap()-before) / n
		if m.Len() != n {
			t.Error("they are not all there")
		}
		return size
	}
	if with, without := each(calendar.NextAllowed), each(""); with > without+1 {
		t.Errorf("%.1f bytes a schedule, and %.1f without calendars", with, without)
	}
}

// BenchmarkCalendarChange measures how long a change of a calendar takes to move 100,000 schedules, and its longest
// slice, which delays due times. On a busy machine the processor's time tells more.
func BenchmarkCalendarChange(b *testing.B) {
	for _, on := range []string{calendar.Skip, calendar.NextAllowed} {
		b.Run(on, func(b *testing.B) {
			n := benchSize()
			m := manyByCalendar(b, n, on)
			sets := []*calendar.Set{tokyoClosed(b, "2026-12-30"), tokyoClosed(b)}
			var longest time.Duration
			version, spent := int64(1), processorTime(b)
			for b.Loop() {
				version++
				m.SetCalendar("closed", version, noonOfBench.UnixMicro(), sets[version%2])
				for m.Sweeping() {
					began := time.Now()
					m.Sweep(sweepBudget)
					longest = max(longest, time.Since(began))
				}
			}
			each := float64(b.N) * float64(n) / 1e5
			b.ReportMetric(float64(longest.Microseconds())/1000, "ms/longest-slice")
			b.ReportMetric(b.Elapsed().Seconds()/each*1000, "ms/100k")
			b.ReportMetric((processorTime(b)-spent).Seconds()/each*1000, "ms-of-processor/100k")
		})
	}
}

// processorTime is how long this process has run on all processors.
func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkCalendarChangeFires changes a calendar by which as many schedules go as there are, while another schedule is
// due each second: a beat hears of the change, moves them all, and fires what is due in between. It tells in how many
// steps, and how late what was due meanwhile was fired at most.
func BenchmarkCalendarChangeFires(bench *testing.B) {
	pool := testenv.Database(bench)
	n := benchSize()
	store := outbox.NewStore(pool, "UTC", func(domain.Task) error { return nil })
	closed := func(days ...calendar.Item) {
		if _, _, err := store.PutCalendar(bench.Context(), domain.Calendar{Name: "closed", Days: append([]calendar.Item{}, days...)}, 0); err != nil {
			bench.Fatal(err)
		}
	}
	closed()
	fill(bench, pool, n)
	if _, err := pool.Exec(bench.Context(), goByCalendar); err != nil {
		bench.Fatal(err)
	}
	probe, err := store.Create(bench.Context(), domain.Definition{Name: "probe", TaskName: "t", IntervalSeconds: 1}, "", nil)
	if err != nil {
		bench.Fatal(err)
	}
	b, err := New(pool, nil, Config{Name: "bench", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		bench.Fatal(err)
	}
	if err := b.start(bench.Context()); err != nil {
		bench.Fatal(err)
	}
	step := func() { // and rest as the beat does, until it wants to be woken
		wake, err := b.step(bench.Context(), time.Now().UnixMicro())
		if err != nil {
			bench.Fatal(err)
		}
		time.Sleep(time.Until(time.UnixMicro(wake)))
	}
	for step(); b.Stats().Fired == 0; { // it has loaded
		step()
	}
	tomorrow := time.Now().AddDate(0, 0, 1)
	changes, steps, spent, began := 0, 0, time.Duration(0), time.Now()
	for bench.Loop() {
		changes++
		before := processorTime(bench)
		closed(calendar.Item{From: tomorrow.Format(time.DateOnly), To: tomorrow.AddDate(0, 0, changes%2).Format(time.DateOnly)})
		for fired := b.Stats().Fired; !b.memory.Sweeping(); steps++ { // until it has heard
			step()
			if b.Stats().Fired > fired+60 {
				bench.Fatal("the beat does not hear of the calendar")
			}
		}
		for ; b.memory.Sweeping(); steps++ {
			step()
		}
		spent += processorTime(bench) - before
	}
	var late float64
	if err := pool.QueryRow(bench.Context(), `select max(extract(epoch from fired_at - due_at)) from tactus.runs
		where schedule_id = $1 and due_at > $2`, probe.ID, began).Scan(&late); err != nil {
		bench.Fatal(err)
	}
	bench.ReportMetric(late*1000, "ms-late")
	bench.ReportMetric(float64(steps)/float64(bench.N), "steps")
	bench.ReportMetric(spent.Seconds()/float64(bench.N)*1000, "ms-of-processor")
}

const goByCalendar = `
update tactus.schedules set trigger = '{"cron":"' || numbered.n % 60 || ' 9 * * *","dialect":"celery","timezone":"Asia/Tokyo","gap":"auto","overlap":"auto"}',
    policy = '{"misfire":"latest","window":86400,"grace":60,"calendars":{"exclude":["closed"],"on_excluded":"next_allowed",' ||
        '"timezone":"Asia/Tokyo","dst_gap":"auto","dst_overlap":"auto"}}', anchor = null
from (select id, row_number() over () as n from tactus.schedules) numbered where numbered.id = schedules.id`
