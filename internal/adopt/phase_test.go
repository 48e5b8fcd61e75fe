package adopt_test

import (
	"log/slog"
	"testing"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// TestUnholdableDocumentsKeepTheirPhase has intervals whose arguments jsonb cannot hold, which each round compares
// again: they stay as they are, and an edit of something else does not begin their interval anew.
func TestUnholdableDocumentsKeepTheirPhase(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
often = IntervalSchedule.objects.create(every=1, period="minutes")
for name, kwargs in (("half", '{"s": "\\ud83d"}'), ("nul", '{"s": "\\u0000"}'), ("huge", '{"n": 1e400}'), ("plain", '{"n": 1}')):
    PeriodicTask.objects.create(name=name, task="app.a", interval=often, kwargs=kwargs)
`)
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	const anchors = `select count(distinct anchor) from (select anchor from tactus.schedules union all select * from before) anchors`
	u.exec(`create table before as select anchor from tactus.schedules`)
	had := u.count(anchors)
	upkeep := adopt.NewUpkeep(u.pool, slog.New(slog.NewTextHandler(t.Output(), nil)))
	for range 3 {
		if _, err := upkeep.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := u.count(`select max(version) from tactus.schedules`); n != 1 {
		t.Errorf("comparing has made version %d", n)
	}
	u.exec(`update django_celery_beat_periodictask set description = 'edited'`)
	if n := u.count(`select count(*) from tactus.schedules where version = 2`); n != 4 {
		t.Errorf("%d of 4 schedules were edited", n)
	}
	if has := u.count(anchors); has != had {
		t.Errorf("%d anchors, there were %d", has, had)
	}
}
