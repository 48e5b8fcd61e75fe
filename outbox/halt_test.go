package outbox_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestHaltsOutliveEdits pauses and skips by Go, and edits by SQL and by Go: a pause lasts until the schedule is
// enabled, and a skip until it has another trigger. Row and events say the same throughout.
func TestHaltsOutliveEdits(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	pause := domain.Pause{By: "alice", Reason: `"100%" <frozen>`, Group: "g", Until: time.Date(2126, 1, 2, 3, 4, 5, 6000, time.UTC)}
	put := func(members string) domain.Schedule {
		t.Helper()
		return checkHistory(t, pool, putSQL(t, pool, `{"name": "n", "task_name": "a", "cron_expression": "0 9 * * *", `+members+`}`))
	}
	id := put(`"description": "d"`).ID
	read := func() domain.Schedule {
		t.Helper()
		s, err := store.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	disable := func() domain.Schedule {
		t.Helper()
		_, err := store.Disable(t.Context(), id, 0, func(domain.Schedule, time.Time) (domain.Pause, error) { return pause, nil })
		if err != nil {
			t.Fatal(err)
		}
		return checkHistory(t, pool, id)
	}
	paused := disable()
	if paused.PausedAt != paused.UpdatedAt || paused.PauseReason != pause.Reason || paused.PausedUntil != pause.Until {
		t.Errorf("paused: %+v", paused.Halt)
	}
	if s := put(`"description": "e", "enabled": false`); s.Halt != paused.Halt || s.Halt != read().Halt {
		t.Errorf("an edit by SQL: %+v, want %+v", s.Halt, paused.Halt)
	}
	if s, err := store.Merge(t.Context(), id, 0, []byte(`{"description": "f"}`)); err != nil || s.Halt != paused.Halt || s.Halt != read().Halt {
		t.Errorf("an edit: %+v, %v", s.Halt, err)
	}
	if s := put(`"description": "g"`); s.Halt != (domain.Halt{}) || s.Halt != read().Halt {
		t.Errorf("enabled by SQL: %+v", s.Halt)
	}
	if s := put(`"description": "g", "enabled": false`); s.Halt != (domain.Halt{PausedAt: s.UpdatedAt}) || s.Halt != read().Halt {
		t.Errorf("disabled by SQL: %+v", s.Halt)
	}
	disable()
	version := read().Version
	for most := range 2 { // as of the version before, it is left alone
		resumed, _, err := store.Resume(t.Context(), []outbox.EndedPause{{ID: id, Version: version - 1 + int64(most)}})
		if err != nil || len(resumed) != most {
			t.Fatalf("enabled %v: %v", resumed, err)
		}
	}
	if s := checkHistory(t, pool, id); s.Halt != (domain.Halt{}) || s.EffectiveFrom != pause.Until.Add(-time.Microsecond) || s.EffectiveFrom != read().EffectiveFrom {
		t.Errorf("resumed: %+v, from %s", s.Halt, s.EffectiveFrom)
	}
	put(`"description": "h", "timezone": "Asia/Tokyo"`)
	if _, err := store.Skip(t.Context(), id, 0, 3, "bob", "release"); err != nil {
		t.Fatal(err)
	}
	skips := checkHistory(t, pool, id)
	if s := put(`"description": "i"`); skips.SkipUntil.IsZero() || s.Halt != skips.Halt || s.Halt != read().Halt {
		t.Errorf("an edit by SQL: %+v, want %+v", s.Halt, skips.Halt)
	}
	if s := checkHistory(t, pool, putSQL(t, pool, `{"name": "n", "task_name": "a", "cron_expression": "1 9 * * *"}`)); s.Halt != (domain.Halt{}) {
		t.Errorf("another trigger by SQL: %+v", s.Halt)
	}
	off := false
	d := domain.Definition{Name: "off", CronExpression: "0 9 * * *", TaskName: "a", Enabled: &off}
	created, err := store.Create(t.Context(), d, "", nil)
	if s := checkHistory(t, pool, created.ID); err != nil || s.PausedAt != s.CreatedAt || created.PausedAt != s.CreatedAt {
		t.Errorf("created disabled: %+v, %v", s.Halt, err)
	}
}
