package outbox_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// storeUnprintable makes a schedule whose texts are such as were accepted once.
func storeUnprintable(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	id := putSQL(t, pool, `{"name": "old", "description": "old", "tags": ["old"], "task_name": "a", "cron_expression": "0 9 * * *"}`)
	if _, err := pool.Exec(t.Context(), `
		update tactus.schedules set name = $2, tags = array[$2], task = replace(task::text, 'old', $2)::json,
			definition = replace(definition::text, 'old', $2)::json where id = $1`, id, oldText); err != nil {
		t.Fatal(err)
	}
}

const oldText = "o\u2028l\u009bd"

// TestOldTextsStay writes schedules whose texts are refused in new ones: those that are left as they are stay,
// and others are refused, by Go and by SQL.
func TestOldTextsStay(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	storeUnprintable(t, pool)
	for _, c := range []struct {
		members map[string]any
		fault   string
	}{
		{map[string]any{"description": oldText, "tags": []string{oldText}, "queue": "q"}, ""},
		{map[string]any{"description": "new", "tags": []string{"new", oldText}}, ""},
		{map[string]any{"description": oldText}, "text_invalid /description"},
		{map[string]any{"tags": []string{oldText + "\u009b"}}, "text_invalid /tags/0"},
		{map[string]any{"tags": []string{oldText}, "shadow": "\u0085"}, "text_invalid /shadow"},
	} {
		c.members["name"], c.members["task_name"], c.members["cron_expression"] = oldText, "a", "0 9 * * *"
		raw, err := json.Marshal(c.members)
		if err != nil {
			t.Fatal(err)
		}
		d, err := domain.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		if c.fault != "" {
			if got := refusals(t, pool, string(raw)); len(got) != 1 || got[0] != c.fault {
				t.Errorf("%s: SQL finds %v, want %s", raw, got, c.fault)
			}
			_, _, err := store.Put(t.Context(), d)
			if f := domain.FaultsOf(err); len(f) != 1 || f[0].Code+" "+f[0].Field != c.fault {
				t.Errorf("%s: Go finds %v, want %s", raw, err, c.fault)
			}
			continue
		}
		putSQL(t, pool, string(raw))
		if _, err := store.Judge(t.Context()); err != nil {
			t.Fatal(err)
		}
		if after, _, err := store.Put(t.Context(), d); err != nil || after.InvalidReason != "" {
			t.Errorf("%s: %+v, %v", raw, after, err)
		}
	}
}

// TestOldTextsOfOthersStay does the same for calendars and routes, and refuses such reasons.
func TestOldTextsOfOthersStay(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	store := outbox.NewStore(pool, "UTC", handover.Limits{}.Check)
	closed := domain.Calendar{Name: "c", Description: "d", Days: []calendar.Item{{From: "2026-01-01", Reason: "r"}}}
	if _, _, err := store.PutCalendar(t.Context(), closed, 0); err != nil {
		t.Fatal(err)
	}
	if err := store.PutRoute(t.Context(), domain.Route{Pattern: "p", Queue: "q"}, nil); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		`update tactus.calendars set description = $1, days = replace(days::text, '"r"', '"' || $1 || '"')::json`,
		`update tactus.routes set pattern = $1`,
	} {
		if _, err := pool.Exec(t.Context(), sql, oldText); err != nil {
			t.Fatal(err)
		}
	}
	closed.Description, closed.Days[0].Reason = oldText, oldText
	closed.Days = append(closed.Days, calendar.Item{From: "2026-01-02"})
	if _, _, err := store.PutCalendar(t.Context(), closed, 0); err != nil {
		t.Error(err)
	}
	if err := store.PutRoute(t.Context(), domain.Route{Pattern: oldText, Queue: "other"}, nil); err != nil {
		t.Error(err)
	}
	closed.Description, closed.Days[1].Reason = "\u0085", "\u0085"
	_, _, err := store.PutCalendar(t.Context(), closed, 0)
	refusedWith(t, err, "text_invalid /days/1/reason", "text_invalid /description")
	refusedWith(t, store.PutRoute(t.Context(), domain.Route{Pattern: "\u007f"}, nil), "name_invalid /pattern")
	id, err := domain.ParseID(putSQL(t, pool, `{"name": "a", "task_name": "a", "cron_expression": "0 9 * * *"}`).String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = store.Skip(t.Context(), id, 0, 1, "ops", "\u009b")
	refusedWith(t, err, "text_invalid /reason")
}

func refusedWith(t *testing.T, err error, want ...string) {
	t.Helper()
	var got []string
	for _, f := range domain.FaultsOf(err) {
		got = append(got, f.Code+" "+f.Field)
	}
	if !cmp.Equal(sorted(got), want) {
		t.Errorf("refused with %v (%v), want %v", got, err, want)
	}
}
