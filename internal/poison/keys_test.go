package poison

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/outbox"
)

// TestResultKeys has results whose keys are of every other type, or hold what another serializer wrote, beside one that
// is good.
func TestResultKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	poisons := map[string]func(key string) error{
		"list":   func(key string) error { return w.redis.RPush(t.Context(), key, "x").Err() },
		"set":    func(key string) error { return w.redis.SAdd(t.Context(), key, "x").Err() },
		"hash":   func(key string) error { return w.redis.HSet(t.Context(), key, "x", "x").Err() },
		"pickle": func(key string) error { return w.redis.Set(t.Context(), key, "\x80\x05}\x94.", 0).Err() },
		"empty":  func(key string) error { return w.redis.Set(t.Context(), key, "", 0).Err() },
	}
	run := func(name string) domain.ID {
		s, id := w.put(soon(named("good"))), outbox.NewID()
		w.sql(`insert into tactus.runs (id, schedule_id, due_at, slot, kind, status, schedule_version, sent_at)
			select $1::uuid, $2, clock_timestamp(), $1::uuid, 'manual', 'sent', 1, clock_timestamp()`, id, s.ID)
		if poison := poisons[name]; poison != nil {
			if err := poison(celery.ResultPrefix + id.String()); err != nil {
				t.Fatal(err)
			}
		}
		return id
	}
	for name := range poisons {
		run(name)
	}
	w.result(run("good"), `"plain"`)
	w.collect()
	w.await("the good one has succeeded", 1, `select count(*) from tactus.runs where status = 'succeeded'`)
	w.await("the others stay open", len(poisons), `select count(*) from tactus.runs where status = 'sent'`)
}
