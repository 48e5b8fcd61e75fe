package adopt_test

import (
	"testing"
)

// TestRowsAreComparedByMeaning writes the trigger of adopted rows in other words, of one row and of many: the due times
// stay.
func TestRowsAreComparedByMeaning(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.adopt(u.seed(`(name, task_name, cron_expression) select 'n' || n, 'app.a', '0 9 * * MON-FRI' from generate_series(1, 60) n`))
	const unmoved = `select count(*) from tactus.schedules where effective_from = created_at and trigger_set_at = created_at`
	for what, sql := range map[string]string{
		"one":  `update celery_beat_schedules set cron_expression = '0  9 * * 1-5' where name = 'n1'`,
		"many": `update celery_beat_schedules set cron_expression = '0 9 * * mon-5' where name <> 'n1'`,
	} {
		u.exec(sql)
		if n := u.count(unmoved); n != 60 {
			t.Errorf("%s: the due times of %d of 60 are as they were", what, n)
		}
	}
	u.exec(`update celery_beat_schedules set cron_expression = '0 9 * * 1-6'`)
	if n := u.count(unmoved); n != 0 {
		t.Errorf("another trigger: the due times of %d are as they were", n)
	}
}
