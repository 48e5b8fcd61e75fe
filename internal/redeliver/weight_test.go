package redeliver_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/redeliver"
	"github.com/tactus-dev/tactus/internal/room"
)

// TestLargeTasksAreHandedOverAgainInParts loses runs of large tasks: no statement copies more than some megabytes, and
// none is copied while there is no room.
func TestLargeTasksAreHandedOverAgainInParts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.carry(t)
	const many = 50
	all := w.fire(t, "q", many, func(d *domain.Definition) { d.Kwargs = json.RawMessage(`{"k":"` + strings.Repeat("x", 250_000) + `"}`) })
	w.await(t, "q", all)
	w.redis.Del(t.Context(), "q")
	lost, _ := w.lost(t, config)
	var full room.Room
	full.Takes(room.Most)
	if _, err := full.Any(t.Context(), w.pool); err != nil { // looks, and finds that nothing waits
		t.Fatal(err)
	}
	full.Takes(room.Most)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := redeliver.Again(ended, w.pool, config, &full, lost); n != 0 || err == nil {
		t.Errorf("%d are handed over again where there is no room: %v", n, err)
	}
	if n := w.again(t, lost); n != many {
		t.Errorf("%d are handed over again", n)
	}
	var most int
	if err := w.pool.QueryRow(t.Context(), `select max(bytes)::int from (select sum(octet_length(data::text)) as bytes
		from tactus.outbox where version = 2 group by xid) s`).Scan(&most); err != nil || most > 5<<20 {
		t.Errorf("a statement copies %d bytes: %v", most, err)
	}
	w.await(t, "q", all)
}
