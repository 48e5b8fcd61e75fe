package beat

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestWhatSQLCouldNotCheckIsShownInvalid puts schedules by SQL whose faults only the cron engine finds, before and
// after the beat loads.
func TestWhatSQLCouldNotCheckIsShownInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put := func(cron, zone string) (id domain.ID) {
		t.Helper()
		body := fmt.Sprintf(`{"name": "%s %s", "task_name": "a", "cron_expression": "1 2 3 4 5", "timezone": %q}`, cron, zone, zone)
		if err := w.pool.QueryRow(t.Context(), `select tactus.put_schedule($1)`, body).Scan(&id); err != nil {
			t.Fatal(err)
		}
		// As an older version of the function wrote it, which did not know the grammar.
		if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set trigger = replace(trigger, '1 2 3 4 5', $2), definition = replace(definition::text, '1 2 3 4 5', $2)::json
			where id = $1`, id, cron); err != nil {
			t.Fatal(err)
		}
		return id
	}
	before := put("0 9 * * 8", "UTC")
	b := w.beat("b")
	heard := put("0 9 * * *", "Asia/Tokio")
	never := put("0 0 30 2 *", "UTC")
	rare := put("0 0 29 2 1", "UTC")
	good := put("0 9 * * mon-fri", "Asia/Tokyo")
	w.step(b, w.now.Add(2*time.Second))
	w.recordsInvalid(b, 3)
	for id, want := range map[domain.ID]string{
		before: `cron_syntax at /cron_expression: day-of-week "8": 0-7 or sun-sat (at byte 8)`,
		heard:  `timezone_unknown at /timezone: unknown time zone: "Asia/Tokio": want an IANA name such as America/New_York`,
		never:  `cron_never_fires at /cron_expression: expression "0 0 30 2 *": there is no such date within 40 years (at byte 0)`,
		rare:   "", // a Monday that is 29 February: 2044
		good:   "",
	} {
		s, err := w.store.Get(t.Context(), id)
		if err != nil || s.InvalidReason != want || s.Runnable() != (want == "") {
			t.Errorf("%s: %q, want %q, %v", s.Name, s.InvalidReason, want, err)
		}
	}
	if told := w.count(`select count(*) from tactus.outbox where type = 'schedule.invalidated'`); told != 3 {
		t.Errorf("%d were told to be invalid, want 3", told)
	}
	w.step(b, w.now.Add(4*time.Second))
	if b.memory.Len() != 2 {
		t.Errorf("memory has %d schedules, want the valid ones", b.memory.Len())
	}
}

// TestSpoiledPolicyIsShownInvalid spoils the policy of one of two schedules, which only the beat reads. The other
// schedule goes on.
func TestSpoiledPolicyIsShownInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good, bad := w.create(minutely(``)), w.create(minutely(``))
	b, a := w.beat("a"), at{good}
	w.step(b, a.due(1))
	w.execute(`update tactus.schedules set policy = 'spoiled' where id = $1`, bad.ID)
	w.step(b, a.due(2))
	w.step(b, a.due(2).Add(2*time.Second))
	w.recordsInvalid(b, 1)
	if err := w.expect(good.ID, a.run(1), a.run(2)); err != nil {
		t.Error(err)
	}
	s, err := w.store.Get(t.Context(), bad.ID)
	if err != nil || !strings.HasPrefix(s.InvalidReason, "policy_unreadable") {
		t.Errorf("%q, %v", s.InvalidReason, err)
	}
}

// TestSpoiledDefinitionIsShownInvalid also spoils the definition itself. The reason is recorded all the same, and the
// other schedule goes on.
func TestSpoiledDefinitionIsShownInvalid(t *testing.T) {
	t.Parallel()
	for _, spoiled := range []string{`[]`, `7`, `null`, `"x"`, `{"name":7,"kwargs":[]}`} {
		t.Run(spoiled, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			s, other := w.create(minutely(``)), w.create(minutely(``))
			w.execute(`update tactus.schedules set policy = 'spoiled', definition = $2::text::json, version = version + 1
				where id = $1`, s.ID, spoiled)
			b := w.beat("b")
			w.step(b, w.now.Add(2*time.Second))
			w.recordsInvalid(b, 1)
			var reason string
			if err := w.pool.QueryRow(t.Context(), `select coalesce(invalid_reason, '') from tactus.schedules
				where id = $1`, s.ID).Scan(&reason); err != nil || !strings.Contains(reason, "policy_unreadable") {
				t.Errorf("the reason is %q, %v", reason, err)
			}
			read, err := w.store.Get(t.Context(), s.ID)
			if err != nil || read.InvalidReason == "" || read.Name != s.Name {
				t.Errorf("%+v, %v", read, err)
			}
			w.step(b, (at{other}).due(1))
			if err := w.expect(other.ID, (at{other}).run(1)); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLoadsBesideASpoiledPolicy starts a beat when the policy of a schedule that has fired is spoiled.
func TestLoadsBesideASpoiledPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	spoiled := w.create(minutely(`, "name": "spoiled", "max_runs": 100`))
	s := w.create(minutely(""))
	a := at{s}
	w.step(w.beat("a"), a.due(1))
	if n := w.count(`select count(*) from tactus.runs where schedule_id = $1`, spoiled.ID); n != 1 {
		t.Fatalf("it has fired %d times", n)
	}
	for n, policy := range []string{"broken", `{"max_runs":1e30}`, `{"max_runs":999999999999999999999}`} {
		w.execute(`update tactus.schedules set policy = $1 where name = 'spoiled'`, policy)
		b := w.beat(policy)
		w.execute(`update tactus.leases set expires_at = '-infinity'`)
		w.step(b, a.due(2+n))
		if err := w.expect(s.ID, a.run(1), a.run(2), a.run(3), a.run(4)); err != nil && n == 2 {
			t.Error(err)
		}
	}
}

// TestThousandsOfInvalidSchedulesDelayNobody has more invalid schedules than one step records.
func TestThousandsOfInvalidSchedulesDelayNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 2000
	b := w.beat("a")
	w.execute(`select count(tactus.put_schedule(json_build_object('name', 'invalid' || n, 'cron_expression', '0 9 * * *',
		'timezone', 'Mars/Phobos' || n, 'task_name', 'app.task'))) from generate_series(1, $1::integer) n`, many)
	w.setClock(w.now.Add(2 * time.Second))
	if _, err := b.step(t.Context(), w.now.UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if n := w.count(countInvalid); n == many {
		t.Errorf("one step has recorded all %d", n)
	}
	w.recordsInvalid(b, many)
}

const countInvalid = `select count(*) from tactus.schedules where invalid_reason is not null`

// recordsInvalid steps a beat until it has recorded the wanted number of schedules as invalid. On a slow machine, one
// that takes too long is put off, as if its row were locked.
func (w *world) recordsInvalid(b *Beat, want int) {
	w.Helper()
	testenv.Eventually(w, "invalid schedules are recorded", func() error {
		if n := w.count(countInvalid); n != want {
			b.invalid.notBefore = 0
			w.step(b, w.now)
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
}
