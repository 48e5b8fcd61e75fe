package catalog_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// fillBoard makes schedules with a run each; one schedule in a thousand has many runs.
const fillBoard = `
with made as (
    insert into tactus.schedules (id, name, version, enabled, trigger, policy, effective_from, trigger_set_at, created_at, updated_at, category, tags, definition, task)
    select gen_random_uuid(), 'schedule ' || k, 1, k % 10 > 0, '{"cron":"' || k % 60 || ' * * * *","timezone":"UTC"}', '{"misfire":"latest","window":86400,"grace":60}',
        now(), now(), now() - k * interval '1 second', now(), '', array['tag' || k % 1000], '{"name":"x","cron_expression":"0 * * * *","timezone":"UTC","task_name":"t"}', '{"task_name":"t","args":[],"kwargs":{}}'
    from generate_series(1, $1::integer) k returning id, name
)
insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, started_at, finished_at)
select gen_random_uuid(), m.id, now() - n * interval '1 minute', 'scheduled', 'succeeded', 1, now(), now(), now()
from (select id, row_number() over (order by name) as k from made) m,
    generate_series(1, case when k % 1000 = 0 then 500 else 1 end) n`

// TestBoardOfManySchedules counts the blocks that the pages' queries read among a hundred thousand schedules.
func TestBoardOfManySchedules(t *testing.T) {
	t.Parallel()
	pool, effort := testenv.CountEffort(t, testenv.Connect(t, testenv.DirectURL(t)))
	if _, err := pool.Exec(t.Context(), fillBoard, 100_000); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "vacuum analyze tactus.schedules, tactus.runs"); err != nil {
		t.Fatal(err)
	}
	c, now := catalog.New(pool), time.Now()
	off := false
	for name, look := range map[string]struct {
		filter catalog.Filter
		order  catalog.Order
		most   int // blocks
	}{
		"newest":        {catalog.Filter{}, catalog.ByNewest, 3_000},
		"by name":       {catalog.Filter{}, catalog.ByName, 3_000},
		"next of many":  {catalog.Filter{}, catalog.ByNext, 5_000},
		"next of a tag": {catalog.Filter{Tags: []string{"tag7"}}, catalog.ByNext, 4_000},
		"search":        {catalog.Filter{Query: "777"}, catalog.ByNext, 8_000},
		"paused":        {catalog.Filter{Enabled: &off}, catalog.ByNewest, 3_000},
		"calendar":      {catalog.Filter{Calendar: "holidays"}, catalog.ByNext, 3_000},
		"far page":      {catalog.Filter{Offset: 60_000}, catalog.ByName, 40_000},
	} {
		look.filter.Limit = 50
		var board catalog.Board
		blocks, processor := effort.Of(func() {
			var err error
			if board, err = c.Board(t.Context(), look.filter, look.order, now); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %d blocks, %s, %d of %d", name, blocks, processor, len(board.Lines), board.Total)
		if blocks > look.most || look.filter.Calendar == "" && len(board.Lines) != 50 || len(board.Lines) > 0 && len(board.Lines[0].Last) == 0 {
			t.Errorf("%s: %d blocks for %d lines", name, blocks, len(board.Lines))
		}
	}
	for name, look := range map[string]struct {
		filter catalog.Filter
		order  catalog.Order
		found  int
	}{
		"last status of all":  {catalog.Filter{LastStatus: domain.Succeeded}, catalog.ByNext, 50},
		"last status of none": {catalog.Filter{LastStatus: domain.Failed}, catalog.ByName, 0},
		"queue of none":       {catalog.Filter{Queue: "none"}, catalog.ByNewest, 0},
	} {
		var board catalog.Board
		var next string
		blocks, processor := effort.Of(func() {
			var err error
			if board, next, err = c.BoardPart(t.Context(), look.filter, look.order, catalog.Page{Size: 50}, now); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %d blocks, %s, %d", name, blocks, processor, len(board.Lines))
		if blocks > 30_000 || len(board.Lines) != look.found || next == "" {
			t.Errorf("%s: %d blocks for %d lines, and then %q", name, blocks, len(board.Lines), next)
		}
	}
	for name, read := range map[string]func() error{
		"trouble": func() error { _, err := c.Trouble(t.Context(), now.Add(-24*time.Hour)); return err },
		"pulse":   func() error { _, err := c.Pulse(t.Context()); return err },
		"counts":  func() error { _, err := c.Counts(t.Context()); return err },
		"parts":   func() error { _, err := c.Parts(t.Context()); return err },
	} {
		blocks, processor := effort.Of(func() {
			if err := read(); err != nil {
				t.Error(err)
			}
		})
		t.Logf("%s: %d blocks, %s", name, blocks, processor)
		if blocks > 6_000 {
			t.Errorf("%s: %d blocks", name, blocks)
		}
	}
}
