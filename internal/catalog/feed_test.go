package catalog_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// restored makes the log look as if it came from another server, on which transactions had higher numbers, and as if an
// epoch had begun since.
const restored = `
with old as (update tactus.outbox set xid = '9000000000' returning position)
insert into tactus.relay_sinks (sink, topic, epoch, timeline, system_identifier, floor)
select 'events', 'schedule', 'e', 't', 's', max(position) from old`

// TestEventsOfARestoredLog reads a restored log from the beginning, in pages.
func TestEventsOfARestoredLog(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	c, store := catalog.New(pool), outbox.NewStore(pool, "", handover.Limits{}.Check)
	create := func(names ...string) {
		for _, name := range names {
			if _, err := store.Create(t.Context(), domain.Definition{Name: name, TaskName: "t", CronExpression: "* * * * *"}, "", nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	create("a", "b", "c")
	if _, err := pool.Exec(t.Context(), restored); err != nil {
		t.Fatal(err)
	}
	create("d")
	var versions []int64
	var after catalog.Cursor
	for _, want := range []int{2, 2, 0} { // two at a time
		events, next, _, err := c.Events(t.Context(), after, catalog.EventFilter{}, 2)
		if err != nil || len(events) != want {
			t.Fatalf("%d events, want %d: %v", len(events), want, err)
		}
		for _, e := range events {
			versions = append(versions, e.Position)
		}
		after = next
	}
	create("e")
	events, _, _, err := c.Events(t.Context(), after, catalog.EventFilter{}, 10)
	if err != nil || len(events) == 0 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if last := events[len(events)-1].Position; slices.Contains(versions, last) {
		t.Errorf("position %d comes again and not what is new", last)
	}
}

const longLog = `
insert into tactus.outbox (topic, aggregate_id, version, type, data)
select 'schedule', @schedule, n, case when n = @rare::int then 'schedule.deleted' else 'schedule.updated' end, json_build_object('text', @text::text)
from generate_series(1, @n::int) n`

// TestEventsOfARareType asks for the only event of its type among many. No page looks at all events, and the last page
// has the one.
func TestEventsOfARareType(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	c, id := catalog.New(pool), outbox.NewID()
	if _, err := pool.Exec(t.Context(), longLog, pgx.NamedArgs{"schedule": id.String(), "n": 9000, "rare": 8999, "text": ""}); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]catalog.EventFilter{
		"type":     {Type: domain.ScheduleDeleted},
		"schedule": {Type: domain.ScheduleDeleted, Schedule: &id},
	} {
		var after catalog.Cursor
		var pages []int
		for more := true; more; {
			var events []catalog.Event
			var err error
			if events, after, more, err = c.Events(t.Context(), after, f, 10); err != nil {
				t.Fatal(err)
			}
			pages = append(pages, len(events))
		}
		if len(pages) < 5 || len(pages) > 6 || !slices.Equal(pages[:5], []int{0, 0, 0, 0, 1}) { // others may have committed meanwhile
			t.Errorf("%s: pages of %v", name, pages)
		}
	}
	now, err := c.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if events, _, more, err := c.Events(t.Context(), now, catalog.EventFilter{}, 10); len(events) != 0 || more || err != nil {
		t.Errorf("behind the end: %d events, more %v, %v", len(events), more, err)
	}
}

// TestEventsAreBoundedInBytes asks for more than a page may hold: each page has a part of the events, and together they
// have all.
func TestEventsAreBoundedInBytes(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	c := catalog.New(pool)
	text := strings.Repeat("x", 256<<10)
	if _, err := pool.Exec(t.Context(), longLog, pgx.NamedArgs{"schedule": outbox.NewID().String(), "n": 100, "rare": 0, "text": text}); err != nil {
		t.Fatal(err)
	}
	var after catalog.Cursor
	var positions []int64
	pages := 0
	for more := true; more; pages++ {
		events, next, again, err := c.Events(t.Context(), after, catalog.EventFilter{}, 1000)
		if err != nil || len(events) > 40 {
			t.Fatalf("%d events, %v", len(events), err)
		}
		for _, e := range events {
			positions = append(positions, e.Position)
		}
		after, more = next, again
	}
	if len(positions) != 100 || !slices.IsSorted(positions) || pages > 5 {
		t.Errorf("%s in %d pages", fmt.Sprint(positions), pages)
	}
}

// TestEventsAfterOldCursors takes cursors while several writers have overlapping transactions. Behind each cursor are
// exactly the events that its snapshot does not see, in order, however many there are.
func TestEventsAfterOldCursors(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	c := catalog.New(pool)
	var writers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			for range 300 {
				if err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { return writeEvents(t.Context(), tx) }); err != nil && !errors.Is(err, errGivenUp) {
					t.Errorf("writer %d: %v", w, err)
				}
			}
		})
	}
	var cursors []catalog.Cursor
	written := make(chan struct{})
	go func() { writers.Wait(); close(written) }()
	for going := true; going; {
		now, err := c.Latest(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		cursors = append(cursors, now)
		select {
		case <-written:
			going = false
		case <-time.After(50 * time.Millisecond):
		}
	}
	if len(cursors) < 3 {
		t.Errorf("%d cursors: the test is weak", len(cursors))
	}
	for _, cursor := range cursors {
		raw, err := base64.RawURLEncoding.DecodeString(cursor.String())
		if err != nil {
			t.Fatal(err)
		}
		rows, err := pool.Query(t.Context(), `select position from tactus.outbox where topic = 'schedule' and not pg_visible_in_snapshot(xid, $1::pg_snapshot) order by position`,
			pgx.QueryExecModeExec, strings.Split(string(raw), "|")[1])
		if err != nil {
			t.Fatal(err)
		}
		want, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for more := true; more; {
			var events []catalog.Event
			if events, cursor, more, err = c.Events(t.Context(), cursor, catalog.EventFilter{}, 1000); err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				got = append(got, e.Position)
			}
		}
		t.Logf("%d events", len(want))
		if !slices.Equal(got, want) {
			t.Errorf("%d events behind a cursor, want %d", len(got), len(want))
		}
	}
}

var errGivenUp = errors.New("given up")

// writeEvents writes some events and rolls one transaction in ten back.
func writeEvents(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "select pg_current_xact_id()"); err != nil { // as a writer that locks a schedule's row
		return err
	}
	for range 3 {
		if _, err := tx.Exec(ctx, longLog, pgx.NamedArgs{"schedule": outbox.NewID().String(), "n": 2, "rare": 0, "text": ""}); err != nil {
			return err
		}
	}
	if rand.IntN(10) == 0 {
		return errGivenUp
	}
	return nil
}
