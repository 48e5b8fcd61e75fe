package notify_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/deadletter"
	"github.com/tactus-dev/tactus/internal/notify"
	"github.com/tactus-dev/tactus/internal/postgres"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// verified reports whether a request is signed with a key, by the check that Standard Webhooks prescribes for
// receivers.
func verified(g got, secret string) bool {
	at, err := strconv.ParseInt(g.header.Get("Webhook-Timestamp"), 10, 64)
	want := notify.Signatures([]string{secret}, g.header.Get("Webhook-Id"), at, []byte(g.body))
	return err == nil && want != "" && strings.Contains(" "+g.header.Get("Webhook-Signature")+" ", " "+want+" ")
}

// TestSignature compares a signature with the one in the specification's example.
func TestSignature(t *testing.T) {
	t.Parallel()
	got := notify.Signatures([]string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, "msg_p5jXN8AQM9LWM0D4loKWxJek",
		1614265330, []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestWebhook has runs that fail, recover and are missed. The receiver gets signed messages about those that match the
// rule, and no others. A receiver that answers 500 gets the message again, under the same id.
func TestWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	night, day := w.schedule("night", "reports"), w.schedule("day")
	w.ends(night, "failed", "before there was a rule")
	secret := w.rule("r",
		`{"tags":["reports"],"names":["ni*t"],"on":["failed","recovered"],"to":"webhook","url":"`+to.url+`/hush"}`)
	w.ends(day, "failed", "of another")
	w.ends(night, "succeeded", "") // no recovery: the schedule was not failing
	run := w.ends(night, "failed", "ValueError: no <rows>")
	first, again := to.next(t), to.next(t)
	if first.header.Get("Webhook-Id") == "" || first.header.Get("Webhook-Id") != again.header.Get("Webhook-Id") ||
		first.body != again.body {
		t.Errorf("%v %s, then %v %s", first.header, first.body, again.header, again.body)
	}
	if !verified(again, secret) || verified(again, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") ||
		again.path != "/hush" || again.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", again.header)
	}
	d := again.data(t)
	if d.Rule != "r" || d.Count != 1 || len(d.Happenings) != 1 || d.Happenings[0].What != "failed" ||
		d.Happenings[0].ScheduleName != "night" ||
		d.Happenings[0].RunID != run.String() || !strings.Contains(d.Summary, "ValueError: no <rows>") {
		t.Errorf("%s", again.body)
	}
	w.ends(night, "succeeded", "")
	if d := to.next(t).data(t); d.Count != 1 || d.Happenings[0].What != "recovered" {
		t.Errorf("%+v", d)
	}
	_, rotated, err := w.rules.Rotate(t.Context(), "r")
	if err != nil {
		t.Fatal(err)
	}
	w.ends(night, "succeeded", "") // a recovery
	w.ends(night, "failed", "again")
	if last := to.next(t); !verified(last, rotated) || !verified(last, secret) {
		t.Errorf("one of the keys does not sign: %v", last.header)
	}
	w.ends(day, "succeeded", "")
	w.settled()
	if len(to.all) > 0 {
		t.Errorf("it is told too much: %+v", <-to.all)
	}
	if text := w.logs.String(); strings.Contains(text, "hush") || strings.Contains(text, "whsec") {
		t.Errorf("a secret is logged: %s", text)
	}
	if r, err := w.rules.Get(t.Context(), "r"); err != nil || r.Last.DeliveredAt.IsZero() || r.Last.Error != "" ||
		r.Last.Waiting != 0 {
		t.Errorf("%+v, %v", r.Last, err)
	}
}

// settled waits until no delivery is left.
func (w *world) settled() {
	w.Helper()
	testenv.Eventually(w.T, "nothing to deliver", func() error {
		var n, behind int
		err := w.pool.QueryRow(w.Context(), `select (select count(*) from tactus.notification_deliveries),
			(select count(*) from tactus.outbox o where topic = 'happening' and not exists (select from
                tactus.relay_batches b
				where b.sink = 'rules' and pg_visible_in_snapshot(o.xid, b.snapshot)))`).Scan(&n, &behind)
		if err == nil && n+behind > 0 {
			err = fmt.Errorf("%d deliveries, %d happenings", n, behind)
		}
		return err
	})
}

// TestHangingDestination has one destination that hangs and one that refuses connections. Another destination still
// gets its notifications at once, and happenings for the hanging one gather in one notification.
func TestHangingDestination(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	free := make(chan struct{})
	hangs := receive(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			select {
			case <-free:
			case <-r.Context().Done():
			}
		}
	})
	sound := receive(t, nil)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refuses := "http://" + closed.Addr().String() + "/hush"
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, url := range map[string]string{"hangs": hangs.url, "sound": sound.url, "refuses": refuses} {
		w.rule(name, `{"on":["failed"],"to":"webhook","url":"`+url+`"}`)
	}
	s := w.schedule("s")
	w.ends(s, "failed", "first")
	hangs.next(t)
	for told := 0; told < 1; {
		told += sound.next(t).data(t).Count
	}
	const more = 30
	for range more {
		w.ends(s, "failed", "more")
	}
	for told := 0; told < more; {
		told += sound.next(t).data(t).Count
	}
	if len(hangs.all) > 0 {
		t.Error("a second notification is under way to one that hangs")
	}
	close(free)
	d := hangs.next(t).data(t)
	if d.Count != more || len(d.Happenings) != 20 || !strings.Contains(d.Summary, "and 10 more") {
		t.Errorf("%+v", d)
	}
	testenv.Eventually(t, "a dead letter", func() error {
		letters, err := w.box().List(t.Context(), deadletter.Filter{Source: deadletter.FromNotifications})
		if err == nil && len(letters) == 0 {
			err = errors.New("none")
		}
		return err
	})
	if r, err := w.rules.Get(t.Context(), "refuses"); err != nil || !strings.Contains(r.Last.Error, "refused") ||
		strings.Contains(w.logs.String(), "hush") {
		t.Errorf("%+v, %v\n%s", r.Last, err, w.logs)
	}
}

// TestLockedLetters has a destination that refuses a notification for good, while another session has locked the whole
// table of dead letters. The notification is set aside all the same, and not sent again.
func TestLockedLetters(t *testing.T) {
	t.Parallel()
	url := testenv.DirectURL(t)
	pool, err := postgres.OpenBounded(t.Context(), url, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	w := newWorldOn(t, pool, false, "127.0.0.0/8")
	to := receive(t, func(_ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	w.rule("r", `{"on":["failed"],"to":"webhook","url":"`+to.url+`"}`)
	tx, err := testenv.Connect(t, url).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := tx.Exec(t.Context(), `lock table tactus.deadletters in access exclusive mode`); err != nil {
		t.Fatal(err)
	}
	w.ends(w.schedule("s"), "failed", "broken")
	to.next(t)
	testenv.Eventually(t, "it is set aside", func() error {
		var n, waiting int
		err := w.pool.QueryRow(t.Context(), `select count(*) filter (where source = 'notifications' and reference like 'r/%'),
			(select count(*) from tactus.notification_deliveries) from tactus.unlisted`).Scan(&n, &waiting)
		if err == nil && (n != 1 || waiting > 0) {
			err = fmt.Errorf("%d are set aside, %d wait", n, waiting)
		}
		return err
	})
}

func (w *world) box() *deadletter.Box { return &deadletter.Box{Pool: w.pool} }

// TestDeadLetters has a destination that refuses a notification for good, and accepts it after the dead letter was
// requeued.
func TestDeadLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusGone)
		}
	})
	w.rule("r", `{"on":["failed"],"to":"webhook","url":"`+to.url+`"}`)
	run := w.ends(w.schedule("s"), "failed", `"quoted" ☃`)
	to.next(t)
	var letters []deadletter.Letter
	testenv.Eventually(t, "a dead letter", func() (err error) {
		letters, err = w.box().List(t.Context(), deadletter.Filter{})
		if err == nil && len(letters) != 1 {
			err = fmt.Errorf("%d", len(letters))
		}
		return err
	})
	if l := letters[0]; l.Source != "notifications" || !strings.HasPrefix(l.Reference, "r/") ||
		!strings.Contains(l.Reason, "410") || strings.Contains(l.Data, to.url) {
		t.Errorf("%+v", l)
	}
	for _, want := range []bool{true, false} {
		done, err := w.box().Retry(t.Context(), letters)
		if err != nil || len(done) != 1 || done[0].Again != want {
			t.Errorf("%+v, %v", done, err)
		}
	}
	if d := to.next(t).data(t); d.Count != 1 || d.Happenings[0].RunID != run.String() ||
		d.Happenings[0].Error != `"quoted" ☃` {
		t.Errorf("%+v", d)
	}
}

// TestPrivateAddresses has destinations in a private network: by address, by name, and behind a redirect. The service
// connects to none of them.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	to := receive(t, nil)
	_, port, _ := strings.Cut(strings.TrimPrefix(to.url, "http://"), ":")
	w.rule("address", `{"on":["failed"],"to":"slack","url":"`+to.url+`"}`)
	w.rule("name", `{"on":["failed"],"to":"slack","url":"http://localhost:`+port+`/"}`)
	w.ends(w.schedule("s"), "failed", "")
	for _, name := range []string{"address", "name"} {
		testenv.Eventually(t, name+" is refused", func() error {
			r, err := w.rules.Get(t.Context(), name)
			if err == nil && !strings.Contains(r.Last.Error, "private network") {
				err = fmt.Errorf("%+v", r.Last)
			}
			return err
		})
	}
	if len(to.all) > 0 {
		t.Error("it was connected to")
	}
	for text, want := range map[string]bool{
		"93.184.215.14": true, "2606:4700::1111": true, "127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false,
		"192.168.0.1":     false,
		"169.254.169.254": false, "100.64.0.1": false, "0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false,
		"::1": false, "::": false, "::7f00:1": false, "168.63.129.16": false,
		"fe80::1": false, "fd00::1": false, "::ffff:127.0.0.1": false, "64:ff9b::7f00:1": false,
		"2002:7f00:1::": false, "ff02::1": false,
		"10.9.0.1": true, "10.9.0.2": false,
	} {
		private, err := notify.ParsePrivate([]string{"10.9.0.1"})
		if err != nil {
			t.Fatal(err)
		}
		if got := notify.Allows(private, netip.MustParseAddr(text)); got != want {
			t.Errorf("%s is allowed: %v", text, got)
		}
	}
}

// TestRedirects follows a redirect that keeps the request, on the same host, and no other.
func TestRedirects(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.1")
	other, beside := receive(t, nil), receive(t, nil)
	to := receive(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/kept":
			http.Redirect(w, r, "/end", http.StatusTemporaryRedirect)
		case "/changed":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/beside":
			http.Redirect(w, r, beside.url, http.StatusTemporaryRedirect)
		case "/elsewhere":
			http.Redirect(w, r, strings.Replace(other.url, "127.0.0.1", "127.0.0.2", 1), http.StatusTemporaryRedirect)
		}
	})
	for _, name := range []string{"kept", "changed", "beside", "elsewhere"} {
		w.rule(name, `{"on":["failed"],"to":"slack","url":"`+to.url+"/"+name+`"}`)
	}
	w.ends(w.schedule("s"), "failed", "")
	for name, want := range map[string]string{"changed": "302", "beside": "another host or port", "elsewhere": "redirects to another host"} {
		testenv.Eventually(t, name, func() error {
			r, err := w.rules.Get(t.Context(), name)
			if err == nil && !strings.Contains(r.Last.Error, want) {
				err = fmt.Errorf("%+v", r.Last)
			}
			return err
		})
	}
	testenv.Eventually(t, "kept", func() error {
		r, err := w.rules.Get(t.Context(), "kept")
		if err == nil && r.Last.DeliveredAt.IsZero() {
			err = fmt.Errorf("%+v", r.Last)
		}
		return err
	})
	ended := 0
	for len(to.all) > 0 {
		if g := <-to.all; g.path == "/end" {
			ended++
			if g.header.Get("Referer") != "" {
				t.Error("the address is told")
			}
		}
	}
	if ended != 1 || len(other.all)+len(beside.all) > 0 {
		t.Errorf("%d redirects were followed, and %d elsewhere", ended, len(other.all))
	}
}

// TestNobodyIsTold has no rule: happenings write no row, and no sink is registered.
func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	s := w.schedule("s")
	w.ends(s, "failed", "")
	w.rule("off", `{"enabled":false,"on":["failed"],"to":"slack","url":"https://h.example/"}`)
	w.ends(s, "failed", "")
	var rows, sinks int
	if err := w.pool.QueryRow(t.Context(), `select (select count(*) from tactus.outbox where topic = 'happening'),
        (select count(*) from tactus.relay_sinks)`).Scan(&rows, &sinks); err != nil || rows+sinks > 0 {
		t.Errorf("%d rows, %d sinks, %v", rows, sinks, err)
	}
}

// TestAtMostOneInMinutes has a rule that sends one notification an hour: the first happening is sent at once, and the
// others together an hour later.
func TestAtMostOneInMinutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, nil)
	w.rule("r", `{"on":["failed"],"every_minutes":60,"to":"webhook","url":"`+to.url+`"}`)
	s := w.schedule("s")
	w.ends(s, "failed", "")
	to.next(t)
	for range 3 {
		w.ends(s, "failed", "")
	}
	testenv.Eventually(t, "the others gather", func() error {
		var n int
		err := w.pool.QueryRow(t.Context(), `select coalesce(sum(count), 0) from tactus.notification_deliveries where
            gathers and due_at between now() + interval '50 min' and now() + interval '61 min'`).Scan(&n)
		if err == nil && n != 3 {
			err = fmt.Errorf("%d", n)
		}
		return err
	})
	if _, err := w.pool.Exec(context.WithoutCancel(t.Context()), `update tactus.notification_deliveries set due_at =
        now()`); err != nil {
		t.Fatal(err)
	}
	if d := to.next(t).data(t); d.Count != 3 {
		t.Errorf("%+v", d)
	}
}

// TestTestOfARule tests a rule whose destination refuses the test at first, and then accepts it.
func TestTestOfARule(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false, "127.0.0.0/8")
	to := receive(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	w.rule("r", `{"on":["failed"],"to":"webhook","url":"`+to.url+`"}`)
	for _, want := range []notify.Tested{{Outcome: "failed", Error: "it answers 418 I'm a teapot"}, {Outcome: "delivered"}} {
		tested, err := w.rules.Test(t.Context(), "r")
		for err == nil && tested.Outcome == "waiting" { // the service may not have seen the rule yet
			tested, err = w.rules.Test(t.Context(), "r")
		}
		if err != nil || tested != want {
			t.Errorf("%+v, want %+v; %v", tested, want, err)
		}
		if d := to.next(t).data(t); !d.Test || !strings.Contains(d.Summary, "test of the notification rule r") {
			t.Errorf("%+v", d)
		}
	}
}
