package verify_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/projection"
	"github.com/tactus-dev/tactus/internal/replay"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/internal/verify"
)

// TestMemoryIsBounded has schedules of the largest size, about 60 MiB of them with their events. A command that reads
// all of them needs a small part of that, even when it has to compare or correct each row.
func TestMemoryIsBounded(t *testing.T) {
	w := newWorld(t)
	const schedules = 80
	for n := range schedules {
		d := definition(fmt.Sprint("schedule ", n), 0)
		d.Kwargs = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", 250<<10))
		if _, _, err := w.store.Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	w.publish(t)
	w.sql(t, `update tactus.schedules set category = 'spoiled'`)
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"verify", func() error {
			report := w.check(t, verify.Config{})
			if report.Events != schedules || report.StreamEntries != schedules || report.Found != schedules {
				return fmt.Errorf("%+v", report)
			}
			return nil
		}},
		{"rebuild", func() error {
			r, err := projection.Rebuild(t.Context(), w.pool, projection.Config{Swap: true})
			if err == nil && r.Replaced != schedules {
				err = fmt.Errorf("%+v", r)
			}
			return err
		}},
		{"replay", func() error {
			const key = "tactus:replay:1"
			target, err := replay.Open(t.Context(), w.pool, w.redis, key, celery.Config{})
			if err != nil {
				return err
			}
			plan, err := replay.Begin(t.Context(), w.pool, replay.Range{})
			if err != nil {
				return err
			}
			if err := target.Run(t.Context(), w.pool, plan, 0, nil); err != nil {
				return err
			}
			if n := w.redis.XLen(t.Context(), key).Val(); n != 2*schedules { // each corrected row has an event, too
				err = fmt.Errorf("%d events", n)
			}
			return err
		}},
	} {
		var err error
		most := testenv.Heap(t, func() { err = c.do() })
		t.Logf("%s: %d MiB", c.name, most>>20)
		if err != nil || most > 30<<20 {
			t.Errorf("%s: %d MiB, %v", c.name, most>>20, err)
		}
	}
}
