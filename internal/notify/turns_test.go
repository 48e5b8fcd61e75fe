package notify_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// pause pauses a schedule, as of an hour ago.
func (w *world) pause(s domain.ID) {
	w.Helper()
	w.exec(`update tactus.schedules set enabled = false, paused_at = now() - interval '1 hour' where id = $1`, s)
}

func (w *world) exec(sql string, args ...any) {
	w.Helper()
	if _, err := w.pool.Exec(w.Context(), sql, args...); err != nil {
		w.Fatal(err)
	}
}

// toldOf waits until a receiver has got notifications about schedules.
func (r *receiver) toldOf(t *testing.T, names ...string) {
	t.Helper()
	left := map[string]bool{}
	for _, name := range names {
		left[name] = true
	}
	for len(left) > 0 {
		for _, h := range r.next(t).data(t).Happenings {
			delete(left, h.ScheduleName)
		}
	}
}

// TestBadRowsSilenceNoRule has rows that were written by hand, with tags and times that tactus itself never writes.
func TestBadRowsSilenceNoRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	for n, tags := range []string{`{NULL,a}`, `{{a,b},{c,d}}`, `{}`} {
		id := w.schedule(fmt.Sprint("s", n))
		w.pause(id)
		w.exec(`update tactus.schedules set tags = $2::text::text[] where id = $1`, id, tags)
		for _, due := range []string{"infinity", "-infinity", "2020-01-01"} {
			w.exec(`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version)
                values ($1, $2, $3::text::timestamptz, $1, 'scheduled', 'due', 1)`, outbox.NewID(), id, due)
		}
	}
	paused, late := receive(t, nil), receive(t, nil)
	w.rule("paused", `{"on":["paused"],"paused_seconds":5,"to":"webhook","url":"`+paused.url+`"}`)
	w.rule("late", `{"on":["late"],"late_seconds":5,"to":"webhook","url":"`+late.url+`"}`)
	paused.toldOf(t, "s0", "s1", "s2")
	late.toldOf(t, "s0", "s1", "s2")
}

// TestAFailingRuleSilencesNoOther makes the looks of one rule fail. They come before those of another rule, which still
// finds everything.
func TestAFailingRuleSilencesNoOther(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	w.pause(w.schedule("first"))
	to := receive(t, nil)
	w.rule("bad", `{"on":["paused"],"paused_seconds":5,"to":"webhook","url":"`+to.url+`","enabled":false}`)
	w.exec(`create function public.refuse() returns trigger language plpgsql as $$ begin
        if new.rule_id = (select id from tactus.notification_rules where name = 'bad') then raise 'no such luck'; end if;
        return new; end $$`)
	w.exec(`create trigger t before insert on tactus.notification_told for each row execute function public.refuse()`)
	w.rule("bad", `{"on":["paused"],"paused_seconds":5,"to":"webhook","url":"`+to.url+`"}`)
	w.rule("good", `{"on":["paused"],"paused_seconds":5,"to":"webhook","url":"`+to.url+`"}`)
	to.toldOf(t, "first")
	for _, name := range []string{"second", "third"} { // each is found by another look
		w.pause(w.schedule(name))
		to.toldOf(t, name)
	}
	testenv.Eventually(t, "it is told", func() error {
		if n := strings.Count(w.logs.String(), "no such luck"); n != 1 {
			return fmt.Errorf("%d times", n)
		}
		return nil
	})
	w.exec(`drop trigger t on tactus.notification_told`)
	testenv.Eventually(t, "its end is told", func() error {
		if !strings.Contains(w.logs.String(), "can look again") {
			return fmt.Errorf("it is not: %s", w.logs)
		}
		return nil
	})
}

// TestCostlyRulesKeepNoOtherWaiting has looks that take minutes altogether, before a cheap one. The cheap look does not
// wait for all of them.
func TestCostlyRulesKeepNoOtherWaiting(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	first := w.schedule(strings.Repeat("a", 180))
	w.pause(first)
	w.exec(`
        do $$ declare columns text; begin
            select string_agg(quote_ident(column_name), ', ') into columns from information_schema.columns
            where table_schema = 'tactus' and table_name = 'schedules' and column_name not in ('id', 'name') and is_generated = 'NEVER';
            execute 'insert into tactus.schedules (id, name, ' || columns || ') select gen_random_uuid(), name || n, ' ||
                columns || ' from tactus.schedules, generate_series(1, 10000) n where id = '` + "|| quote_literal('" + first.String() + "')" + `;
        end $$`)
	to := receive(t, nil)
	pattern := `"*` + strings.Repeat("a", 90) + `b*"`
	patterns := strings.Repeat(pattern+",", 99) + pattern
	for n := range 20 {
		w.rule(fmt.Sprint("a", n), `{"on":["paused","never_fired"],"paused_seconds":5,"never_fired_seconds":5,"to":"webhook","url":"`+
			to.url+`/a","names":[`+patterns+`]}`)
	}
	w.pause(w.schedule("one"))
	w.rule("z", `{"on":["paused"],"paused_seconds":5,"names":["o*"],"to":"webhook","url":"`+to.url+`"}`)
	to.toldOf(t, "one")
	w.pause(w.schedule("other"))
	to.toldOf(t, "other")
}

// TestTurnsAreShared has three hundred costly looks and a cheap one. The cheap look gets its turn in time, and each of
// the others gets one, too.
func TestTurnsAreShared(t *testing.T) {
	t.Parallel()
	rule := func(name string, patterns int) domain.NotificationRule {
		return domain.NotificationRule{
			ID: outbox.NewID(), Name: name, On: []domain.Happening{domain.IsPaused, domain.RunHasFailed}, Names: make([]string, patterns),
		}
	}
	var rules []domain.NotificationRule
	for n := range 300 {
		rules = append(rules, rule(fmt.Sprint("a", n), 200))
	}
	rules = append(rules, rule("z", 1))
	costs := func(name string) time.Duration {
		if name == "z" {
			return 50 * time.Millisecond
		}
		return 700 * time.Millisecond
	}
	for _, churn := range []bool{false, true} {
		of := 150 * time.Millisecond
		if churn {
			of = 250 * time.Millisecond
		}
		var ts notify.Turns
		now := time.Now()
		began, last := now, now
		seen := map[string]int{}
		for n := 0; now.Sub(began) < time.Hour; n++ {
			if churn && n%2 == 0 { // a user keeps replacing rules by new ones, which are taken for cheap
				made := append([]domain.NotificationRule{}, rules...)
				made[n/2%300] = rule(fmt.Sprint("a", n/2%300), 0)
				rules = made
			}
			name, took := ts.Take(&rules, now, costs)
			if name == "" {
				took = time.Second
			}
			now = now.Add(took)
			seen[name]++
			if name == "z" {
				if gap := now.Sub(last); gap > 11*time.Second+301*of {
					t.Fatalf("it came after %s, at %s; churn: %v", gap, now.Sub(began), churn)
				}
				last = now
			}
		}
		if now.Sub(last) > 11*time.Second+301*of {
			t.Errorf("it came last %s before the end", now.Sub(last))
		}
		if len(seen) < 301 {
			t.Errorf("%d of them came", len(seen))
		}
	}
}

// TestCallersShareTurns has three hundred costly looks of one caller, and a cheap look of another. The cheap look waits
// for a few of the costly ones, not for each of them, and each of those gets a turn.
func TestCallersShareTurns(t *testing.T) {
	t.Parallel()
	rule := func(name, by string) domain.NotificationRule {
		return domain.NotificationRule{ID: outbox.NewID(), Name: name, SetBy: by, On: []domain.Happening{domain.IsPaused}}
	}
	rules := []domain.NotificationRule{rule("z", "key:w2")}
	for n := range 300 {
		rules = append(rules, rule(fmt.Sprint("a", n), "key:w1"))
	}
	costs := func(name string) time.Duration {
		if name == "z" {
			return 50 * time.Millisecond
		}
		return 700 * time.Millisecond
	}
	var ts notify.Turns
	now := time.Now()
	began, last := now, now
	seen := map[string]int{}
	for now.Sub(began) < time.Hour {
		name, took := ts.Take(&rules, now, costs)
		if name == "" {
			took = time.Second
		}
		now = now.Add(took)
		seen[name]++
		if name == "z" {
			if gap := now.Sub(last); gap > 14*time.Second { // its next look is due 10 s after the last one
				t.Fatalf("it came after %s, at %s", gap, now.Sub(began))
			}
			last = now
		}
	}
	if now.Sub(last) > 14*time.Second || len(seen) < 301 {
		t.Errorf("%d of them came, it last %s before the end", len(seen), now.Sub(last))
	}
}

// TestWhoHasSetARule puts rules as different callers, unchanged and changed. A rule belongs to the caller who last
// changed it.
func TestWhoHasSetARule(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := notify.NewStore(pool)
	for _, c := range []struct{ by, description, want string }{
		{"key:w1", "a", "key:w1"}, {"key:w2", "a", "key:w1"}, {"key:w2", "b", "key:w2"}, {"", "c", ""}, {"key:w1", "c", ""},
	} {
		r := domain.NotificationRule{
			Name: "r", Description: c.description, On: []domain.Happening{domain.IsInvalid}, To: domain.Stream, Enabled: true,
		}
		after, _, _, err := store.Put(outbox.WithActor(t.Context(), c.by, ""), r, domain.NotificationSecrets{}, 0)
		if err != nil {
			t.Fatal(err)
		}
		var by string
		if err := pool.QueryRow(t.Context(), `select coalesce(definition->>'set_by', '') from tactus.notification_rules`).Scan(&by); err != nil {
			t.Fatal(err)
		}
		if by != c.want || after.Description != c.description {
			t.Errorf("after %s has set %q: it is of %q, and says %q", c.by, c.description, by, after.Description)
		}
	}
}
