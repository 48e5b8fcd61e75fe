package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// put changes a rule, and returns the codes of the faults if it is refused.
func (w *world) put(name, body string) (secret string, codes []string) {
	w.Helper()
	r, s, err := domain.DecodeNotificationRule(name, []byte(body))
	if err == nil {
		_, _, secret, err = w.rules.Put(w.Context(), r, s, 0)
	}
	for _, f := range domain.FaultsOf(err) {
		codes = append(codes, f.Code+" "+f.Field)
	}
	return secret, codes
}

// TestSecretsStayWithTheirAddress has a caller who may change rules, but not read their secrets, try to have the
// secrets sent to an address of the caller's own.
func TestSecretsStayWithTheirAddress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	theirs, his := receive(t, nil), receive(t, nil)
	w.rule("http", `{"on":["failed"],"to":"http","url":"`+theirs.url+`/a","headers":{"Authorization":"Bearer hush"}}`)
	key := w.rule("webhook", `{"on":["failed"],"to":"webhook","url":"`+theirs.url+`/b"}`)

	if _, codes := w.put("http", `{"on":["failed"],"to":"http","url":"`+his.url+`/a"}`); fmt.Sprint(codes) != "[headers_missing /headers]" {
		t.Errorf("without headers: %v", codes)
	}
	shown := strings.Replace(his.url, "127.0.0.1", "127.0.0.3", 1) + "/…"
	if _, codes := w.put("http", `{"on":["failed"],"to":"http","url":"`+shown+`"}`); fmt.Sprint(codes) != "[url_invalid /url]" {
		t.Errorf("another address as it is shown: %v", codes)
	}
	if _, codes := w.put("http", `{"on":["failed","missed"],"to":"http","url":"`+domain.ShownURL(theirs.url)+`"}`); codes != nil {
		t.Errorf("its own address as it is shown: %v", codes)
	}
	if _, codes := w.put("http", `{"on":["failed"],"to":"http","url":"`+his.url+`/a","headers":{}}`); codes != nil {
		t.Errorf("with no headers: %v", codes)
	}
	secret, codes := w.put("webhook", `{"on":["failed"],"to":"webhook","url":"`+his.url+`/b"}`)
	if codes != nil || secret == "" || secret == key {
		t.Errorf("the key is %q, was %q; %v", secret, key, codes)
	}
	w.ends(w.schedule("s"), "failed", "")
	for range 2 {
		g := his.next(t)
		if g.header.Get("Authorization") != "" || len(strings.Fields(g.header.Get("Webhook-Signature"))) > 1 {
			t.Errorf("%s came with %v", g.path, g.header)
		}
	}
	if len(theirs.all) > 0 {
		t.Error("the address before was told")
	}
}

// TestOthersSilenceNoRule has more paused schedules outside of a rule's patterns than one look finds.
func TestOthersSilenceNoRule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	first := w.schedule("x", "pay")
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set enabled = false, paused_at = now() - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	if _, err := w.pool.Exec(t.Context(), `
        do $$ declare columns text; begin
            select string_agg(quote_ident(column_name), ', ') into columns from information_schema.columns
            where table_schema = 'tactus' and table_name = 'schedules' and column_name not in ('id', 'name') and is_generated = 'NEVER';
            execute 'insert into tactus.schedules (id, name, ' || columns || ') select gen_random_uuid(), ''x-'' || n, ' ||
                columns || ' from tactus.schedules, generate_series(1, 10050) n where id = '`+"|| quote_literal('"+first.String()+"')"+`;
        end $$`); err != nil {
		t.Fatal(err)
	}
	meant := w.schedule("a-1")
	if _, err := w.pool.Exec(t.Context(), `update tactus.schedules set enabled = false, paused_at = now() - interval '1 hour' where id = $1`, meant); err != nil {
		t.Fatal(err)
	}
	to := receive(t, nil)
	w.rule("r", `{"on":["paused"],"paused_seconds":5,"names":["a-*"],"to":"webhook","url":"`+to.url+`"}`)
	if d := to.next(t).data(t); d.Count != 1 || d.Happenings[0].ScheduleName != "a-1" {
		t.Errorf("%+v", d)
	}
}

// TestPatternsMeanTheSameInSQL matches patterns with names in Go and in SQL, and compares the results.
func TestPatternsMeanTheSameInSQL(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	texts := []string{"a", "ab", "a-b", "a%b", "a_b", `a\b`, `a\*b`, "A", "ä", "a.b.c", "*", "**", "", "日本", "😀b"}
	for _, pattern := range append([]string{"a*", "*b", "a*b", "*a*", "a%*", "a_b*", `a\*`, "日*", "😀*", "*.*", "a*b*c", `*\`}, texts...) {
		if pattern == "" {
			continue
		}
		for _, text := range texts {
			want := domain.NotificationRule{Names: []string{pattern}}.Fits(text, nil, "")
			var got bool
			if err := pool.QueryRow(t.Context(), `select $1::text like any ($2::text[])`, text, notify.Likes([]string{pattern})).Scan(&got); err != nil || got != want {
				t.Errorf("%q of %q: %v in SQL, %v in Go; %v", text, pattern, got, want, err)
			}
		}
	}
}

// TestOddHappenings writes malformed happenings to the log, and a good one behind them.
func TestOddHappenings(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, nil)
	w.rule("r", `{"on":["failed"],"to":"webhook","url":"`+to.url+`"}`)
	s := w.schedule("s")
	w.ends(s, "failed", "first") // the rule is known
	to.next(t)
	odd := 0
	for _, member := range []string{
		`"tags": 5`, `"run_id": 1`, `"due_at": "now"`, `"error": {}`, `"rule_id": "x"`, `"schedule_id": "zz"`, `"until": "99999-01-01"`,
	} {
		name, value, _ := strings.Cut(member, ": ")
		data := map[string]json.RawMessage{"schedule_id": json.RawMessage(`"` + s.String() + `"`), "schedule_name": json.RawMessage(`"s"`), "status": json.RawMessage(`"failed"`)}
		data[strings.Trim(name, `"`)] = json.RawMessage(value)
		raw, err := json.Marshal(data)
		if err != nil {
			t.Fatal(err)
		}
		odd++
		if _, err := w.pool.Exec(t.Context(), `insert into tactus.outbox (topic, aggregate_id, version, type, data, occurred_at)
            values ('happening', gen_random_uuid(), 1, 'run.failed', $1::text::json, now())`, string(raw)); err != nil {
			t.Fatal(err)
		}
	}
	run := w.ends(s, "failed", "second")
	for told := false; !told; {
		for _, h := range to.next(t).data(t).Happenings {
			told = told || h.RunID == run.String()
		}
	}
	testenv.Eventually(t, "the odd ones are set aside", func() error {
		var n int
		err := w.pool.QueryRow(t.Context(), `select count(*) from tactus.deadletters where source = 'relay:rules' or reason like '%happening%'`).Scan(&n)
		if err == nil && n < odd {
			err = fmt.Errorf("%d of %d", n, odd)
		}
		return err
	})
}

// TestAHostThatHangs has many rules, each with another user in its URL, notify one host that hangs. Only a few requests
// to the host are open at once.
func TestAHostThatHangs(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	var open, most atomic.Int64
	hanging := receive(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		n := open.Add(1)
		defer open.Add(-1)
		for was := most.Load(); n > was && !most.CompareAndSwap(was, n); was = most.Load() {
		}
		<-r.Context().Done()
	})
	for n := range 20 {
		w.rule(fmt.Sprint("r", n), fmt.Sprintf(`{"on":["failed"],"to":"slack","url":"http://u%d@%s/"}`, n,
			strings.TrimPrefix(hanging.url, "http://")))
	}
	good := receive(t, nil)
	w.rule("z", `{"on":["failed"],"to":"slack","url":"`+good.url+`"}`)
	w.ends(w.schedule("s"), "failed", "")
	good.next(t)
	for range 8 { // the second four come when the first four have timed out
		hanging.next(t)
	}
	if n := most.Load(); n != 4 {
		t.Errorf("%d requests were open at once, want 4", n)
	}
}

// TestAnswersAreNotShown has a destination that is not an HTTP server. The test of its rule shows nothing of its
// answer.
func TestAnswersAreNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	banners := []string{"SSH-2.0-hush\r\n", "HTTP/1.1 200 OK\r\nhush hush\r\n\r\n", "HTTP/1.1 307 x\r\nLocation: http://h:hush/\r\nContent-Length: 0\r\n\r\n"}
	go func() {
		for n := 0; ; n++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Read(make([]byte, 4096))
			_, _ = c.Write([]byte(banners[n%len(banners)]))
			c.Close()
		}
	}()
	w.rule("r", `{"on":["failed"],"to":"slack","url":"http://`+l.Addr().String()+`/"}`)
	for range banners {
		tested := notify.Tested{Outcome: "waiting"}
		for err = nil; err == nil && tested.Outcome == "waiting"; {
			tested, err = w.rules.Test(t.Context(), "r")
		}
		if err != nil || tested.Outcome != "failed" || tested.Error != "its answer cannot be read: it is no HTTP" {
			t.Errorf("%+v %v", tested, err)
		}
	}
	if strings.Contains(w.logs.String(), "hush") {
		t.Error("it is in the log")
	}
}

// TestRulesAreBoundedTogether writes large rules until they are refused.
func TestRulesAreBoundedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	names, err := json.Marshal(strings.Split(strings.Repeat(strings.Repeat("n", 200)+" ", 99)+"m", " "))
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"enabled":false,"on":["failed"],"to":"slack","url":"https://h.example/","names":%s,"tags":%s,"tasks":%s}`, names, names, names)
	for n := range 1000 {
		r, s, err := domain.DecodeNotificationRule(fmt.Sprint("r", n), []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		_, _, _, err = w.rules.Put(t.Context(), r, s, 0)
		var e *domain.Error
		if errors.As(err, &e) && e.Code == "rules_too_large" {
			if n < 50 {
				t.Errorf("refused at %d", n)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Error("a thousand large rules were taken")
}
