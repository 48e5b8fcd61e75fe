package api_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/api"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/telemetry"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// eventPage is an answer to GET /events.
type eventPage struct {
	Events []struct {
		ID, Type, Subject, Epoch string
		Data                     struct {
			Name    string
			Version int64
		}
	}
	Next string
}

func (s service) events(t *testing.T, query url.Values) (page eventPage) {
	t.Helper()
	body := s.do(t, "GET", "/events?"+query.Encode(), "").want(t, 200).body
	if err := json.Unmarshal([]byte(body), &page); err != nil {
		t.Fatal(err)
	}
	return page
}

// told returns the events of a page, each as "name version type".
func (p eventPage) told() []string {
	told := []string{}
	for _, e := range p.Events {
		told = append(told, fmt.Sprint(e.Data.Name, " ", e.Data.Version, " ", strings.TrimPrefix(e.Type, "schedule.")))
	}
	return told
}

func put(t *testing.T, db pgx.Tx, name, description string) domain.Schedule {
	t.Helper()
	s, err := outbox.Put(t.Context(), db, domain.Definition{Name: name, CronExpression: "* * * * *", TaskName: "t", Description: description})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEventsByPage(t *testing.T) {
	t.Parallel()
	s := serve(t)
	id := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	s.do(t, "POST", "/schedules/"+id+"/disable", "").want(t, 200)
	s.do(t, "PUT", "/schedules/by-name/m", `{"interval_seconds":5,"task_name":"t"}`).want(t, 201)
	s.do(t, "DELETE", "/schedules/"+id, "").want(t, 204)
	var all []string
	query := url.Values{"limit": {"3"}}
	for range 3 {
		page := s.events(t, query)
		all = append(all, page.told()...)
		query.Set("after", page.Next)
	}
	if want := []string{"n 1 created", "n 2 disabled", "m 1 created", "n 3 deleted"}; !slices.Equal(all, want) {
		t.Errorf("%q, want %q", all, want)
	}
	if got := s.events(t, url.Values{"schedule": {id}, "type": {"schedule.deleted"}}); !slices.Equal(got.told(), []string{"n 3 deleted"}) || got.Events[0].ID != id+"/3" || got.Events[0].Subject != id {
		t.Errorf("chosen: %+v", got)
	}
	now := s.events(t, url.Values{"after": {"now"}})
	s.do(t, "PUT", "/schedules/by-name/m", `{"interval_seconds":6,"task_name":"t"}`).want(t, 200)
	if got := s.events(t, url.Values{"after": {now.Next}}); len(now.Events) != 0 || !slices.Equal(got.told(), []string{"m 2 updated"}) {
		t.Errorf("after now: %q, then %q", now.told(), got.told())
	}
	for query, code := range map[string]string{
		"after=nonsense": "cursor_unknown", "limit=0": "parameter_invalid", "type=x": "parameter_invalid", "schedule=x": "not_found",
		"after=" + base64.RawURLEncoding.EncodeToString([]byte("another.life|1:1:||0")): "cursor_unknown",
		"after=" + forged(t, now.Next, "5:3:"):                                          "cursor_unknown",
	} {
		if a := s.do(t, "GET", "/events?"+query, ""); a.member(t, "code") != code {
			t.Errorf("%s: %d %s, want %s", query, a.status, a.body, code)
		}
	}
}

// forged returns a cursor with the same life of the log and another snapshot.
func forged(t *testing.T, cursor, snapshot string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	life, _, _ := strings.Cut(string(raw), "|")
	return base64.RawURLEncoding.EncodeToString([]byte(life + "|" + snapshot + "||0"))
}

// TestEventsThatCommitLate has a transaction that draws the lowest position and commits last. A reader that is past
// this position gets the event all the same, even in the middle of a page.
func TestEventsThatCommitLate(t *testing.T) {
	t.Parallel()
	s := serve(t)
	late, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	put(t, late, "late", "")
	for n := range 4 {
		s.do(t, "PUT", fmt.Sprint("/schedules/by-name/soon", n), `{"interval_seconds":5,"task_name":"t"}`).want(t, 201)
	}
	whole := s.events(t, nil)
	part := s.events(t, url.Values{"limit": {"2"}})
	if err := late.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := s.events(t, url.Values{"after": {whole.Next}}).told(); len(whole.Events) != 4 || !slices.Equal(got, []string{"late 1 created"}) {
		t.Errorf("%q, then %q", whole.told(), got)
	}
	rest := s.events(t, url.Values{"after": {part.Next}})
	last := s.events(t, url.Values{"after": {rest.Next}})
	if got := slices.Concat(part.told(), rest.told(), last.told()); len(got) != 5 || got[4] != "late 1 created" {
		t.Errorf("by parts: %q", got)
	}
}

// TestEventsWhileManyWrite reads events, a few at a time, while transactions commit, roll back and overlap. Every
// committed event comes once, and those of each schedule in order.
func TestEventsWhileManyWrite(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var wg sync.WaitGroup
	for n := range 8 {
		random := rand.New(rand.NewPCG(2, uint64(n)))
		wg.Go(func() {
			for range 25 {
				if err := writeSome(t.Context(), s, random); err != nil {
					t.Error(err)
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { wg.Wait(); close(written) }()
	seen, versions := map[string]bool{}, map[string]int64{}
	query := url.Values{"limit": {"7"}}
	for done := false; ; {
		page := s.events(t, query)
		for _, e := range page.Events {
			if seen[e.ID] {
				t.Errorf("%s came twice", e.ID)
			}
			if e.Data.Version != versions[e.Subject]+1 {
				t.Errorf("version %d of %s after %d", e.Data.Version, e.Subject, versions[e.Subject])
			}
			seen[e.ID], versions[e.Subject] = true, e.Data.Version
		}
		query.Set("after", page.Next)
		if len(page.Events) == 0 && done {
			break
		}
		select {
		case <-written:
			done = true
		default:
		}
	}
	var committed int
	if err := s.pool.QueryRow(t.Context(), `select count(*) from tactus.outbox`).Scan(&committed); err != nil || committed != len(seen) || committed < 100 {
		t.Errorf("%d events came of %d, %v", len(seen), committed, err)
	}
}

var errChanged = errors.New("changed my mind")

func writeSome(ctx context.Context, s service, random *rand.Rand) error {
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		first := random.IntN(5)
		for _, n := range []int{first, first + 1 + random.IntN(3)} { // always in the same order, to avoid deadlocks
			d := domain.Definition{Name: fmt.Sprint("s", n), IntervalSeconds: 60, TaskName: "t", Description: fmt.Sprint(random.Int())}
			if _, err := outbox.Put(ctx, tx, d); err != nil {
				return err
			}
		}
		if random.IntN(4) == 0 {
			return errChanged
		}
		return nil
	})
	if errors.Is(err, errChanged) || errors.Is(err, domain.ErrVersionConflict) {
		return nil
	}
	return err
}

// listener reads Server-Sent Events.
type listener struct {
	response *http.Response
	lines    *bufio.Scanner
}

func (s service) listen(t *testing.T, query, lastID string) listener {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/events?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", response.Status, response.Header)
	}
	return listener{response, bufio.NewScanner(response.Body)}
}

// next waits for an event, and returns its id, type and data; ok is false at the end.
func (l listener) next() (id, kind, data string, ok bool) {
	for l.lines.Scan() {
		name, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if data != "" {
				return id, kind, data, true
			}
		}
	}
	return "", "", "", false
}

func TestEventsAsAStream(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "POST", "/schedules", `{"name":"a","interval_seconds":5,"task_name":"t","kwargs":{"lines":`+"\n"+`"x"}}`).want(t, 201)
	l := s.listen(t, "", "")
	first, kind, data, ok := l.next()
	if !ok || kind != "schedule.created" || !strings.Contains(data, `"name":"a"`) || !json.Valid([]byte(data)) {
		t.Fatalf("%s %s", kind, data)
	}
	s.do(t, "PUT", "/schedules/by-name/b", `{"interval_seconds":5,"task_name":"t"}`).want(t, 201)
	second, _, data, ok := l.next()
	if !ok || !strings.Contains(data, `"name":"b"`) || second == first {
		t.Fatalf("%s", data)
	}
	l.response.Body.Close()
	s.do(t, "PUT", "/schedules/by-name/c", `{"interval_seconds":5,"task_name":"t"}`).want(t, 201)
	for lastID, want := range map[string]string{first: `"name":"b"`, second: `"name":"c"`} {
		if _, _, data, ok := s.listen(t, "after=now", lastID).next(); !ok || !strings.Contains(data, want) {
			t.Errorf("resumed: %s, want %s", data, want)
		}
	}
	if a := s.do(t, "GET", "/events", "", "Accept", "text/event-stream", "Last-Event-ID", "x"); a.status != http.StatusGone || a.member(t, "code") != "cursor_unknown" {
		t.Errorf("an unknown id: %d %s", a.status, a.body)
	}
}

// serveUntil serves until stop is called. served then returns what the server ended with.
func serveUntil(t *testing.T) (s service, stop func(), served <-chan error) {
	t.Helper()
	pool := testenv.Database(t)
	on, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := telemetry.NewHosts(on.Addr(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- telemetry.Serve(ctx, on, hosts, api.New(pool, "UTC", slog.New(slog.NewTextHandler(t.Output(), nil)), celery.Config{}),
			telemetry.Drain{})
	}()
	return service{"http://" + on.Addr().String() + "/api/v1", pool}, stop, ended
}

// TestStreamsEndWithTheServer shuts down while a client listens: the server does not wait for it.
func TestStreamsEndWithTheServer(t *testing.T) {
	t.Parallel()
	s, stop, served := serveUntil(t)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	l := s.listen(t, "", "")
	if _, _, _, ok := l.next(); !ok {
		t.Fatal("no event")
	}
	stop()
	if _, _, data, ok := l.next(); ok {
		t.Errorf("another event: %s", data)
	}
	if err := <-served; err != nil {
		t.Errorf("the server had to cut the stream: %v", err)
	}
}

// TestSlowBodiesAreToldThatTheServerStops shuts down while a client sends a body byte by byte.
func TestSlowBodiesAreToldThatTheServerStops(t *testing.T) {
	t.Parallel()
	s, stop, served := serveUntil(t)
	address := strings.TrimSuffix(strings.TrimPrefix(s.url, "http://"), "/api/v1")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /api/v1/schedules HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 2000\r\n"+
		"Expect: 100-continue\r\n\r\n", address)
	from := bufio.NewReader(conn)
	if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // the body is being read
		t.Fatalf("%q %v", line, err)
	}
	go func() {
		for {
			if _, err := io.WriteString(conn, " "); err != nil {
				return
			}
			time.Sleep(100 * time.Millisecond) // the client is slow
		}
	}()
	stop()
	text, err := io.ReadAll(from)
	if got := string(text); !strings.Contains(got, "HTTP/1.1 503") || !strings.Contains(got, "server_stopping") ||
		!strings.Contains(got, "\r\nConnection: close\r\n") || !strings.Contains(got, "\r\nRetry-After:") {
		t.Errorf("%q %v", got, err)
	}
	if err := <-served; err != nil {
		t.Errorf("the server had to cut the connection: %v", err)
	}
}

// TestEventsOfZones requests the events about due times that newer time zone data has moved; pages of other events do
// not have them.
func TestEventsOfZones(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	for n := range 3 {
		if _, err := s.pool.Exec(t.Context(), `insert into tactus.outbox (topic, aggregate_id, version, type, data)
			values ('zone', md5('zone Asia/Tokyo')::uuid, $1, 'zone.changed', '{"timezone":"Asia/Tokyo"}')`, n+1); err != nil {
			t.Fatal(err)
		}
	}
	if page := s.events(t, nil); len(page.Events) != 1 {
		t.Errorf("without a type: %+v", page)
	}
	first := s.events(t, url.Values{"type": {"zone.changed"}, "limit": {"2"}})
	then := s.events(t, url.Values{"type": {"zone.changed"}, "after": {first.Next}})
	all := append(first.Events, then.Events...)
	if len(first.Events) != 2 || len(all) != 3 || all[2].Type != "zone.changed" || all[2].Subject != "" || !strings.HasSuffix(all[2].ID, "/3") {
		t.Errorf("%+v, then %+v", first, then)
	}
}

// TestEventsOfRulesAndBackfills requests the events of notification rules and backfills, with who caused them and why.
func TestEventsOfRulesAndBackfills(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.do(t, "PUT", "/notification-rules/on-call", `{"on":["failed"],"to":"slack","url":"https://h.example/hush"}`).want(t, 201)
	made := s.do(t, "POST", "/schedules", minutely).want(t, 201).member(t, "id")
	body := fmt.Sprintf(`{"from":%q,"to":%q,"reason":"wrong prices"}`, time.Now().Add(-time.Hour).Format(time.RFC3339), time.Now().Add(-time.Minute).Format(time.RFC3339))
	id := s.do(t, "POST", "/schedules/"+made+"/backfill", body).want(t, 202).member(t, "id")
	s.do(t, "POST", "/backfills/"+id+"/cancel", `{"reason":"enough"}`).want(t, 200)
	for kind, reason := range map[string]string{"rule.set": "", "backfill.asked": "wrong prices", "backfill.cancelled": "enough"} {
		page := s.events(t, url.Values{"type": {kind}})
		if len(page.Events) != 1 || page.Events[0].Type != kind || page.Events[0].Subject != "" {
			t.Errorf("%s: %+v", kind, page)
		}
		if a := s.do(t, "GET", "/events?type="+kind, ""); !strings.Contains(a.body, `"actor":`) || !strings.Contains(a.body, reason) || strings.Contains(a.body, "hush") {
			t.Errorf("%s: %s", kind, a.body)
		}
	}
	if page := s.events(t, nil); len(page.Events) != 1 {
		t.Errorf("without a type: %+v", page)
	}
}

// TestEventsThatCannotBeRead has rows in the log, written by hand, that are not events. The other events can still be
// read.
func TestEventsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := serve(t)
	insert := func(kind, headers string) {
		if _, err := s.pool.Exec(t.Context(), `insert into tactus.outbox (topic, aggregate_id, version, type, data, headers)
			values ('schedule', gen_random_uuid(), 1, $1, '{}', $2)`, kind, headers); err != nil {
			t.Fatal(err)
		}
	}
	insert("schedule.created", `[1]`)
	insert("schedule.created\ndata: false", `{}`)
	insert("schedule.created", `"`+strings.Repeat("x", 1<<16)+`"`)
	s.do(t, "POST", "/schedules", minutely).want(t, 201)
	if page := s.events(t, nil); len(page.Events) != 1 {
		t.Errorf("%+v", page)
	}
}
