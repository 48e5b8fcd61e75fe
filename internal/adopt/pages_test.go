package adopt_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// TestAdoptsEveryPage has a table whose ids are numbers with more rows than are adopted at once: 1000 comes behind 2.
func TestAdoptsEveryPage(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
often = IntervalSchedule.objects.create(every=10, period="hours")
PeriodicTask.objects.bulk_create([PeriodicTask(name=f"n{n}", task="app.a", interval=often) for n in range(1200)])
`)
	s := u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat)
	rows, err := s.Preview(t.Context(), "UTC", time.Now())
	if err != nil || len(rows) != 1200 {
		t.Errorf("%d of 1200 rows are shown, %v", len(rows), err)
	}
	const living = `select count(*) from tactus.schedules where deleted_at is null`
	u.adopt(s)
	if n := u.count(living); n != 1200 {
		t.Errorf("%d of 1200 rows have a schedule", n)
	}
	// What differs from its row is found wherever it is.
	u.exec(`alter table django_celery_beat_periodictask disable trigger user;
		update django_celery_beat_periodictask set task = 'app.b'; alter table django_celery_beat_periodictask enable trigger user`)
	upkeep := adopt.NewUpkeep(u.pool, slog.New(slog.NewTextHandler(t.Output(), nil)))
	for range 4 {
		if _, err := upkeep.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := u.count(living + ` and task->>'task_name' = 'app.b'`); n != 1200 {
		t.Errorf("%d of 1200 schedules are as their rows", n)
	}
	if released, _, err := s.Unadopt(t.Context(), false); err != nil || released != 1200 {
		t.Errorf("%d of 1200 are released, %v", released, err)
	}
}
