package outbox_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestZoneThatIsLeftOutStays puts a schedule again by its name, without a zone, from a process and from SQL with other
// zones of their own: the stored one is not reinterpreted. With a zone it moves.
func TestZoneThatIsLeftOutStays(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	zone := func() (zone string) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), `select definition->>'timezone' from tactus.schedules where name = 'a name'`).Scan(&zone); err != nil {
			t.Fatal(err)
		}
		return zone
	}
	d := definition("a name")
	for _, of := range []string{"Asia/Tokyo", "America/New_York"} {
		d.Description = "put by a process of " + of
		if _, _, err := outbox.NewStore(pool, of, handover.Limits{}.Check).Put(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		if got := zone(); got != "Asia/Tokyo" {
			t.Errorf("%s: it has the zone %s", d.Description, got)
		}
	}
	if _, err := pool.Exec(t.Context(), `select set_config('TimeZone', 'Europe/Berlin', false), tactus.put_schedule($1::text)`,
		`{"name":"a name","task_name":"a","cron_expression":"0 9 * * *","description":"by SQL"}`); err != nil {
		t.Fatal(err)
	}
	if got := zone(); got != "Asia/Tokyo" {
		t.Errorf("put by SQL it has the zone %s", got)
	}
	if _, err := pool.Exec(t.Context(), `select tactus.put_schedule('{"name":"a name","task_name":"a","cron_expression":"0 9 * * *","timezone":"Europe/Berlin"}'::text)`); err != nil {
		t.Fatal(err)
	}
	if got := zone(); got != "Europe/Berlin" {
		t.Errorf("with a zone it has %s", got)
	}
}
