package notify_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// TestForms sends a failure in Slack's form, in a rule's own form, and as a ping.
func TestForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	slack, own, ping := receive(t, nil), receive(t, nil), receive(t, nil)
	w.rule("slack", `{"on":["failed"],"to":"slack","url":"`+slack.url+`"}`)
	w.rule("own", `{"on":["failed"],"to":"http","url":"`+own.url+`/x","method":"PUT","content_type":"Application/JSON; charset=utf-8","headers":{"Authorization":"Bearer hush"},"body":"{\"title\":\"{schedule} {what}\",\"text\":\"{summary}\",\"n\":{count}}"}`)
	w.rule("ping", `{"on":["succeeded","failed","missed"],"to":"ping","url":"`+ping.url+`/check?create=1"}`)
	s := w.schedule(`"s"`)
	run := w.ends(s, "failed", `<b> "x" & y`)
	var text struct{ Text string }
	if g := slack.next(t); json.Unmarshal([]byte(g.body), &text) != nil || !strings.Contains(text.Text, `*slack*: 1`) || !strings.Contains(text.Text, `&lt;b&gt; "x" &amp; y`) {
		t.Errorf("%s", g.body)
	}
	var sent struct {
		Title, Text string
		N           int
	}
	if g := own.next(t); g.method != "PUT" || g.header.Get("Authorization") != "Bearer hush" || json.Unmarshal([]byte(g.body), &sent) != nil ||
		sent.Title != `"s" failed` || sent.N != 1 || !strings.Contains(sent.Text, `<b> "x" & y`) {
		t.Errorf("%+v", g)
	}
	if g := ping.next(t); g.path != "/check/fail?create=1&rid="+run.String() || g.method != "POST" {
		t.Errorf("%+v", g)
	}
	run = w.ends(s, "succeeded", "")
	if g := ping.next(t); g.path != "/check?create=1&rid="+run.String() {
		t.Errorf("%+v", g)
	}
}

// TestWhatLasts has a late run, and schedules that are paused, invalid or have never fired. There is one notification
// for each.
func TestWhatLasts(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, nil)
	late, paused, fresh := w.schedule("late"), w.schedule("paused"), w.schedule("fresh")
	invalid, never := w.schedule("invalid"), w.schedule("never")
	w.schedule("stream on time")
	w.schedule("stream behind")
	if err := outbox.InTx(t.Context(), w.pool, func(tx pgx.Tx) error { _, err := outbox.Disable(t.Context(), tx, paused); return err }); err != nil {
		t.Fatal(err)
	}
	run := outbox.NewID()
	const stream = `insert into tactus.runs (id, schedule_id, due_at, fired_at, kind, status, schedule_version)
	    select gen_random_uuid(), id, now() - interval '5 minutes', now() - interval '5 minutes' + $after, 'scheduled', 'sent', 1
	    from tactus.schedules where name = `
	for _, sql := range []string{
		`update tactus.schedules set invalid_reason = 'no such zone', enabled = false where id = '` + invalid.String() + `'`,
		`update tactus.schedules set effective_from = now() - interval '2 hours' where id = '` + never.String() + `'`,
		`update tactus.schedules set paused_at = now() - interval '2 hours' where id = '` + paused.String() + `'`,
		`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version) values ('` + run.String() + `', '` + late.String() + `', now() - interval '5 minutes', 'scheduled', 'sent', 1)`,
		`insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version) values (gen_random_uuid(), '` + fresh.String() + `', now() - interval '5 minutes', 'scheduled', 'sent', 1)`,
		`update tactus.schedules set task = (task::jsonb || '{"stream": "s"}')::json where name like 'stream %'`,
		strings.ReplaceAll(stream, "$after", "interval '1 second'") + `'stream on time'`, // it ended when it was handed over
		strings.ReplaceAll(stream, "$after", "interval '2 minutes'") + `'stream behind'`,
		`update tactus.schedules set policy = replace(policy, '"misfire"', '"jitter":5,"spread":300,"misfire"') where id = '` + fresh.String() + `'`, // it may have fired just now
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.rule("r", `{"on":["late","paused","invalid","never_fired"],"late_seconds":60,"paused_seconds":3600,"never_fired_seconds":3600,"to":"webhook","url":"`+to.url+`"}`)
	told := map[string]int{}
	for len(told) < 5 {
		for _, h := range to.next(t).data(t).Happenings {
			told[h.What+" "+h.ScheduleName]++
		}
	}
	want := map[string]int{"late late": 1, "late stream behind": 1, "paused paused": 1, "invalid invalid": 1, "never_fired never": 1}
	if fmt.Sprint(told) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", told, want)
	}
	var rows int
	if err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.notification_told`).Scan(&rows); err != nil || rows != 5 {
		t.Errorf("%d told, %v", rows, err)
	}
}

// TestStreamOfRuns publishes the states of runs to the stream, once because of the setting and once because of a rule.
func TestStreamOfRuns(t *testing.T) {
	t.Parallel()
	for name, all := range map[string]bool{"setting": true, "rule": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, all)
			if !all {
				w.rule("r", `{"on":["failed","succeeded"],"names":["mine"],"to":"stream"}`)
			}
			testenv.Eventually(t, "the setting kept", func() error {
				var n int
				err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.notification_rules`).Scan(&n)
				if err == nil && n == 0 {
					err = fmt.Errorf("no rule")
				}
				return err
			})
			mine, other := w.schedule("mine"), w.schedule("other")
			want := []string{"run.failed", "run.succeeded"}
			w.ends(mine, "failed", "E")
			if all {
				want = []string{"run.failed", "run.skipped", "run.succeeded"}
			}
			w.ends(other, "skipped", "")
			run := w.ends(mine, "succeeded", "")
			testenv.Eventually(t, "entries of the stream", func() error {
				entries, err := w.redis.XRange(t.Context(), "tactus:runs", "-", "+").Result()
				if err != nil {
					return err
				}
				var got []string
				for _, e := range entries {
					event, err := cloudevents.Parse([]byte(e.Values["payload"].(string)))
					if err != nil {
						return err
					}
					got = append(got, string(event.Type))
					if event.Type == "run.succeeded" && (event.Subject != mine.String() || !strings.Contains(string(event.Data), run.String())) {
						return fmt.Errorf("%+v %s", event.Head, event.Data)
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					return fmt.Errorf("%v, want %v", got, want)
				}
				return nil
			})
		})
	}
}
