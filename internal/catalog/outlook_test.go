package catalog_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// crowd changes schedules at random.
type crowd struct {
	random *rand.Rand
	pool   *pgxpool.Pool
	store  *outbox.Store
	ids    []domain.ID
	made   int
}

func (c *crowd) of(texts ...string) string { return texts[c.random.IntN(len(texts))] }

func (c *crowd) day(most int) string {
	return time.Now().UTC().AddDate(0, 0, c.random.IntN(most)).Format(time.DateOnly)
}

// members returns some members of a schedule, as JSON.
func (c *crowd) members() string {
	members := c.of(
		fmt.Sprintf(`"cron_expression":"%d %d * * *"`, c.random.IntN(60), c.random.IntN(24)),
		`"cron_expression":"*/10 * * * *"`,
		`"cron_expression":"0 0 * * mon-fri"`,
		fmt.Sprintf(`"interval_seconds":%d`, 600+c.random.IntN(10_000)),
		`"rrule":"DTSTART:20260105T093000\\nRRULE:FREQ=DAILY;BYHOUR=3,15"`,
		fmt.Sprintf(`"run_at":"%sT23:59:%02dZ"`, c.day(3), c.random.IntN(60)))
	members += `,"timezone":"` + c.of("UTC", "Europe/Berlin", "America/Sao_Paulo") + `"`
	members += c.of("", "", `,"jitter_seconds":20`, `,"spread_seconds":40`)
	members += c.of("", "", `,"max_runs":1`, `,"max_runs":3`)
	members += c.of("", "", fmt.Sprintf(`,"ends_at":"%sT23:00:00Z"`, c.day(5)),
		fmt.Sprintf(`,"starts_at":"%sT23:00:00Z"`, c.day(5)))
	members += c.of("", "", `,"exclude_calendars":["shut"]`, `,"only_calendars":["open"]`,
		`,"exclude_calendars":["shut"],"on_excluded":"next_allowed"`)
	return members + c.of("", `,"tags":["a"]`, `,"tags":["b"]`, `,"tags":["a","b"]`)
}

// put creates a schedule in a transaction. It may be refused, for example because it would never be due.
func (c *crowd) put(ctx context.Context, tx pgx.Tx) error {
	c.made++
	var id domain.ID
	err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
		d := fmt.Sprintf(`{"name":"%s %d","task_name":"app.%d",%s}`, c.of("mine", "theirs"), c.made, c.random.IntN(3), c.members())
		return tx.QueryRow(ctx, `select tactus.put_schedule($1::text::jsonb)`, d).Scan(&id)
	})
	if postgres.Code(err) == refused {
		return nil
	}
	c.ids = append(c.ids, id)
	return err
}

// refused is the error code with which put_schedule refuses a definition.
const refused = "22023"

// step makes a change, which may be refused.
func (c *crowd) step(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	id := c.ids[c.random.IntN(len(c.ids))]
	var err error
	switch c.random.IntN(12) {
	case 0, 1, 2, 3:
		err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error { return c.put(ctx, tx) })
	case 4, 5:
		_, err = c.store.Merge(ctx, id, 0, []byte(`{"cron_expression":null,"interval_seconds":null,"rrule":null,"run_at":null,`+
			`"exclude_calendars":null,"only_calendars":null,"on_excluded":null,`+c.members()+`}`))
	case 6:
		_, err = c.store.Toggle(ctx, id, 0)
	case 7:
		_, err = c.store.Skip(ctx, id, 0, 1+c.random.IntN(3), "ops", "")
	case 8:
		err = c.store.Delete(ctx, id, 0)
	case 9:
		_, err = c.pool.Exec(ctx, `
			insert into tactus.schedule_counts (schedule_id, trigger_set_at, fired)
			select id, trigger_set_at, 1 from tactus.schedules where id = $1
			on conflict (schedule_id) do update set fired = schedule_counts.fired + 1, trigger_set_at = excluded.trigger_set_at`, id)
	case 10:
		err = c.closeDays(ctx, c.of("shut", "open"))
	case 11:
		err = c.store.Invalidate(ctx, id, 0, "cron_syntax")
	}
	if err != nil && domain.FaultsOf(err) == nil {
		t.Fatal(err)
	}
}

func (c *crowd) closeDays(ctx context.Context, name string) error {
	_, _, err := c.store.PutCalendar(ctx, domain.Calendar{Name: name, Days: []calendar.Item{{From: c.day(1), To: c.day(4)}}}, 0)
	return err
}

// TestOutlookIsWhatAWalkFinds changes schedules at random. After each few changes, it compares the outlook of one
// catalog with a catalog that looks at every schedule.
func TestOutlookIsWhatAWalkFinds(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	c := &crowd{random: rand.New(rand.NewPCG(seed, 0)), pool: pool, store: store}
	for _, name := range []string{"shut", "open"} {
		if err := c.closeDays(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for range 40 {
		if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return c.put(t.Context(), tx) }); err != nil {
			t.Fatal(err)
		}
	}
	follows := catalog.New(pool)
	told := 0
	for range 120 {
		if err := pgx.BeginFunc(t.Context(), pool, func(late pgx.Tx) error { // commits after later changes have
			err := c.put(t.Context(), late)
			for range c.random.IntN(4) {
				c.step(t)
			}
			told += c.compare(t, follows)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		told += c.compare(t, follows)
	}
	if told == 0 {
		t.Error("nothing was ever due")
	}
}

// compare asks both ways, and returns how much was due.
func (c *crowd) compare(t *testing.T, follows *catalog.Catalog) int {
	t.Helper()
	ctx := t.Context()
	if c.random.IntN(2) == 0 {
		ctx = access.With(ctx, access.Principal{
			Kind: access.Key, Role: access.Read, Scope: access.Scope{c.of("name:mine", "tag:b", "tag:none")},
		})
	}
	var tags []string
	if c.random.IntN(3) == 0 {
		tags = []string{c.of("a", "b")}
	}
	from := time.Now().Add(time.Duration(c.random.IntN(100)-10) * time.Hour)
	to, most := from.Add(time.Duration(1+c.random.IntN(48))*time.Hour), 1+c.random.IntN(200)
	got, err := follows.Upcoming(ctx, tags, from, to, most)
	if err != nil {
		t.Fatal(err)
	}
	want, err := follows.WalkUpcoming(ctx, tags, from, to, most)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("from %s to %s, %d of tags %v (-walk +outlook):\n%s", from, to, most, tags, diff)
	}
	return len(got.Upcoming)
}

// fillDiverse makes schedules most of whose plans differ.
const fillDiverse = `
insert into tactus.schedules (id, name, version, enabled, trigger, anchor, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
select gen_random_uuid(), 'schedule ' || k, 1, k % 10 > 0,
    case when k % 3 > 0 then '{"every":' || 60 + k % 7000 || '}'
        else '{"cron":"' || k % 60 || ' ' || k / 60 % 24 || ' ' || 1 + k / 1440 % 28 || ' * *","timezone":"Europe/Berlin"}' end,
    case when k % 3 > 0 then now() - k * interval '1 second' end, '{"misfire":"latest","window":86400,"grace":60}',
    now(), now(), now() - k * interval '1 second', now(), '', array['tag' || k % 1000], '{"name":"x","task_name":"t"}', '{"task_name":"t","args":[],"kwargs":{}}'
from generate_series(1, $1::integer) k`

// TestUpcomingReadsWhatChanged asks for the upcoming due times of a hundred thousand schedules. The first request reads
// all schedules, the next only those that have changed meanwhile. The outlook takes no more memory than it counts.
func TestUpcomingReadsWhatChanged(t *testing.T) {
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	if _, err := pool.Exec(t.Context(), fillDiverse, 100_000); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "vacuum analyze tactus.schedules"); err != nil {
		t.Fatal(err)
	}
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	c, now := catalog.New(pool), time.Now()
	before := heap()
	look := func(tags ...string) (blocks int, cpu time.Duration, found catalog.Upcoming) {
		blocks, cpu = effort.Of(func() {
			var err error
			if found, err = c.Upcoming(t.Context(), tags, now, now.Add(time.Hour), 100); err != nil {
				t.Error(err)
			}
		})
		return blocks, cpu, found
	}
	all, cpuOfAll, _ := look()
	if took, counted := heap()-before, c.OutlookBytes(); took > counted {
		t.Errorf("the outlook takes %d bytes, and counts %d", took, counted)
	}
	made, err := store.Create(t.Context(), domain.Definition{Name: "new", Tags: []string{"new"}, IntervalSeconds: 1, TaskName: "app.t"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	changed, cpu, _ := look()
	if _, _, found := look("new"); !containsSchedule(found, made.ID) {
		t.Error("a new schedule is missing")
	}
	t.Logf("%d blocks and %s, then %d and %s", all, cpuOfAll, changed, cpu)
	if changed*5 > all || cpu*5 > cpuOfAll {
		t.Errorf("%d blocks and %s after one change, %d and %s for all", changed, cpu, all, cpuOfAll)
	}
	c.KeepAtMost(1 << 20)
	if _, _, found := look("new"); !containsSchedule(found, made.ID) || c.OutlookBytes() != 0 {
		t.Errorf("without room: %d bytes, %d due", c.OutlookBytes(), len(found.Upcoming))
	}
}

func containsSchedule(u catalog.Upcoming, id domain.ID) bool {
	for _, due := range u.Upcoming {
		if due.ScheduleID == id {
			return true
		}
	}
	return false
}

func heap() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// TestUpcomingPassesALockedLog asks for upcoming due times while another connection has locked the log.
func TestUpcomingPassesALockedLog(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	made, err := store.Create(t.Context(), domain.Definition{Name: "a", IntervalSeconds: 60, TaskName: "app.t"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, now := catalog.New(pool), time.Now()
	for _, locked := range []bool{false, true} {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if locked {
				if _, err := tx.Exec(t.Context(), "lock table tactus.outbox"); err != nil {
					return err
				}
			}
			found, err := c.Upcoming(t.Context(), nil, now, now.Add(time.Hour), 10)
			if !containsSchedule(found, made.ID) {
				t.Errorf("locked %v: %+v", locked, found)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
