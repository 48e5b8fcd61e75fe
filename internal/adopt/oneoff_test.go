package adopt_test

import (
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/adopt"
)

// TestOneOffsThatTheOldBeatSent has one-offs that their own beat has sent and not yet disabled: they are done until
// their count is 0 again, as that beat sets it.
func TestOneOffsThatTheOldBeatSent(t *testing.T) {
	t.Parallel()
	u := newDjango(t)
	u.django(`
nine = CrontabSchedule.objects.create(minute="0", hour="9", timezone="UTC")
often = IntervalSchedule.objects.create(every=10, period="minutes")
for name, when in {"crontab": {"crontab": nine}, "interval": {"interval": often}}.items():
    PeriodicTask.objects.create(name=name, task="app.a", one_off=True, total_run_count=7,
        last_run_at=datetime.now(timezone.utc), **when)`)
	u.adopt(u.source("django_celery_beat_periodictask", adopt.DjangoCeleryBeat))
	names := []string{"crontab", "interval"}
	for _, name := range names {
		if s := u.named(name); s.IsEnabled() {
			t.Errorf("%s: what has been sent is enabled", name)
		}
	}
	u.django(`
for task in PeriodicTask.objects.filter(one_off=True):
    task.enabled = False; task.save()
    task.enabled, task.total_run_count = True, 0; task.save()`)
	for _, name := range names {
		s := u.named(name)
		if due, ok := s.Next(time.Now()); !ok || !s.Runnable() || s.MaxRuns != 1 {
			t.Errorf("%s: it is due at %s, %v: %+v", name, due, ok, s)
		}
	}
}
