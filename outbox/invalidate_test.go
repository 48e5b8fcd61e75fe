package outbox_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestInvalidScheduleIsKeptAndFiresNothing follows a schedule that turns out not to be schedulable, and is mended.
func TestInvalidScheduleIsKeptAndFiresNothing(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("odd"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Invalidate(t.Context(), s.ID, s.Version+1, "r"); !errors.Is(err, domain.ErrVersionConflict) {
		t.Errorf("of a version that was not read: %v", err)
	}
	for range 2 { // what is known is not said twice
		now, err := store.Get(t.Context(), s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Invalidate(t.Context(), s.ID, now.Version, "100% wrong: no zone %1$s"); err != nil {
			t.Fatal(err)
		}
	}
	invalid, err := store.Get(t.Context(), s.ID)
	if err != nil || invalid.Version != 2 || invalid.InvalidReason != "100% wrong: no zone %1$s" || !invalid.IsEnabled() || invalid.Runnable() {
		t.Errorf("%+v, %v", invalid, err)
	}
	var enabled bool
	var kind, data string
	err = pool.QueryRow(t.Context(), `select s.enabled, e.type, e.data->>'invalid_reason' from tactus.schedules s
		join tactus.outbox e on e.aggregate_id = s.id and e.version = s.version`).Scan(&enabled, &kind, &data)
	if err != nil || enabled || kind != "schedule.invalidated" || data != "100% wrong: no zone %1$s" {
		t.Errorf("enabled %v, %s, %s, %v", enabled, kind, data, err)
	}
	if _, err := store.Trigger(t.Context(), s.ID); !errors.Is(err, domain.ErrScheduleInvalid) ||
		!strings.Contains(err.Error(), "100% wrong: no zone %1$s") {
		t.Errorf("run now: %v", err)
	}
	mended, err := store.Merge(t.Context(), s.ID, 0, []byte(`{"description": "mended"}`))
	if err != nil || !mended.Runnable() || mended.Version != 3 || !mended.EffectiveFrom.After(s.EffectiveFrom) {
		t.Errorf("mended: %+v, %v", mended, err)
	}
	if _, err := store.Trigger(t.Context(), s.ID); err != nil {
		t.Errorf("run now after the mend: %v", err)
	}
}

// TestAdoptedSchedulesAreReadOnly tries every way to change one.
func TestAdoptedSchedulesAreReadOnly(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	s, err := store.Create(t.Context(), definition("theirs"), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), `update tactus.schedules set managed_by = 'public.jobs'`); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func() error{
		"merge":   func() error { _, err := store.Merge(t.Context(), s.ID, 0, []byte(`{"description": "d"}`)); return err },
		"disable": func() error { _, err := store.SetEnabled(t.Context(), s.ID, 0, false); return err },
		"toggle":  func() error { _, err := store.Toggle(t.Context(), s.ID, 0); return err },
		"delete":  func() error { return store.Delete(t.Context(), s.ID, 0) },
		"put":     func() error { _, _, err := store.Put(t.Context(), definition("theirs")); return err },
		"put in a transaction": func() error {
			return pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error { _, err := outbox.Put(t.Context(), tx, definition("theirs")); return err })
		},
	} {
		if err := change(); !errors.Is(err, domain.ErrManaged) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := store.Trigger(t.Context(), s.ID); err != nil {
		t.Errorf("run now changes nothing of the schedule: %v", err)
	}
	if err := store.Invalidate(t.Context(), s.ID, 1, "r"); err != nil {
		t.Errorf("what is found out about it is recorded: %v", err)
	}
	read, err := store.Get(t.Context(), s.ID)
	if err != nil || read.Version != 2 || read.ManagedBy != "public.jobs" {
		t.Errorf("%+v, %v", read, err)
	}
	var data []byte
	if err := pool.QueryRow(t.Context(), `select data from tactus.outbox where version = 2`).Scan(&data); err != nil {
		t.Fatal(err)
	}
	var event domain.Schedule
	if err := json.Unmarshal(data, &event); err != nil || event.ManagedBy != "public.jobs" {
		t.Errorf("the event does not say whose it is: %s, %v", data, err)
	}
}
