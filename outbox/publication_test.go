package outbox_test

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// unidentified are the tables whose rows a publication cannot tell apart: with one, PostgreSQL refuses to update or
// delete them.
const unidentified = `
select c.oid::regclass::text from pg_class c
where c.relnamespace = 'tactus'::regnamespace and c.relkind in ('r', 'p') and c.relreplident <> 'f'
    and not exists (select from pg_index i where i.indrelid = c.oid and (c.relreplident = 'd' and i.indisprimary or i.indisreplident))
order by 1`

// TestUnderAPublication has somebody replicate all tables of the database: changes and partitions go on.
func TestUnderAPublication(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	execute(t, pool, `create publication everything for all tables`)
	store := outbox.NewStore(pool, "", handover.Limits{}.Check)
	for _, name := range []string{"a", "b", "a"} {
		if _, _, err := store.Put(t.Context(), domain.Definition{Name: name, IntervalSeconds: 60, TaskName: "t", Description: rand.Text()}); err != nil {
			t.Fatal(err)
		}
	}
	execute(t, pool, `delete from tactus.schedules where name = 'b'`)
	at := time.Now().AddDate(0, 4, 0)
	in := due(t, pool, at.Format(time.RFC3339))
	if did := maintain(t, pool, at); len(did.Made) == 0 || in != "tactus.runs_default" {
		t.Errorf("made %v; the run was in %s", did.Made, in)
	}
	execute(t, pool, `update tactus.runs set status = 'sent'`)
	if did := maintain(t, pool, at.AddDate(1, 0, 0)); len(did.Dropped) == 0 {
		t.Errorf("dropped %v, deferred %v", did.Dropped, did.Deferred)
	}
	if some := texts(t, pool, unidentified); len(some) > 0 {
		t.Errorf("no primary key: %v", some)
	}
}
