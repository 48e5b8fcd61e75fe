package adopt_test

import "testing"

// TestAdoptedEventsAreOfTheirTable changes adopted rows, one alone and many at once, and reads who made the events.
func TestAdoptedEventsAreOfTheirTable(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(fewRows))
	u.exec(`update celery_beat_schedules set cron_expression = '1 9 * * *' where name = 'daily'`)
	u.exec(`insert into celery_beat_schedules (name, task_name, cron_expression) select 'n' || n, 'app.n', '0 9 * * *' from generate_series(1, 30) n`)
	u.exec(`delete from celery_beat_schedules where name = 'n1'`)
	u.exec(`truncate celery_beat_schedules`)
	const ofTable = `headers->>'actor' = 'table:public.celery_beat_schedules'`
	if all, of := u.count(`select count(*) from tactus.outbox where topic = 'schedule'`), u.count(`select count(*) from tactus.outbox where topic = 'schedule' and `+ofTable); all < 66 || of != all {
		t.Errorf("of %d events %d are of the table", all, of)
	}
}
