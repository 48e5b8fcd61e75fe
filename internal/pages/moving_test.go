package pages_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// TestMovingInIsTold shows an adopted table with a row that cannot be scheduled and one that waits to be mended.
func TestMovingInIsTold(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if page := s.get(t, "/system/moving").body; !strings.Contains(page, "tactus adopt") || !strings.Contains(page, "No beat is in shadow mode") {
		t.Errorf("nothing teaches how: %s", page)
	}
	for _, name := range []string{"good", "bad"} {
		s.create(t, domain.Definition{Name: name, TaskName: "app.t", CronExpression: "0 9 * * *"})
	}
	for _, sql := range []string{
		`insert into tactus.adoptions (source, kind, timezone) values ('public."old <b>"', 'celery_beat_schedules', 'UTC')`,
		`update tactus.schedules set managed_by = 'public."old <b>"', invalid_reason = case name when 'bad' then '61 is no minute' end`,
		`insert into tactus.adopt_failures (source, key, reason) values ('public."old <b>"', 'k7', '42P01: gone')`,
	} {
		if _, err := s.pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	page := s.get(t, "/system/moving?report=day").body
	for _, want := range []string{
		"old &lt;b&gt;", `<td class="num">2</td>`, "! 1</span>", "61 is no minute", ">bad</a>", "42P01: gone", "k7", "There was nothing to compare.", "tactus does not fire yet",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
}

// TestSystemSaysWhatDoctorSays shows the findings of tactus doctor, and which processes there are.
func TestSystemSaysWhatDoctorSays(t *testing.T) {
	t.Parallel()
	s := serve(t)
	if _, err := s.pool.Exec(t.Context(), `insert into tactus.zone_processes values
		('beat of <b>', '2026a', now()), ('relay of yesterday', '2026a', now() - interval '1 day')`); err != nil {
		t.Fatal(err)
	}
	page := s.get(t, "/system").body
	for _, want := range []string{`<p class="trouble" lang="en">✕ fsync is off &lt;b&gt;</p>`, `<p class="attention" lang="en">! keys expire</p>`, "beat of &lt;b&gt;"} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in %s", want, page)
		}
	}
	if strings.Contains(page, "PostgreSQL answers") || strings.Contains(page, "relay of yesterday") {
		t.Errorf("it says what is well, or who is gone: %s", page)
	}
}

// TestLastDayIsSummedUp reads the chart of the last day: how many runs there were, how many were handed over, and how
// late.
func TestLastDayIsSummedUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	made := s.create(t, domain.Definition{Name: "n", TaskName: "app.t", CronExpression: "0 0 1 1 *"})
	_, err := s.pool.Exec(t.Context(), `
		insert into tactus.runs (id, schedule_id, due_at, kind, status, schedule_version, fired_at, sent_at, error, reason)
		select gen_random_uuid(), $1, due, 'scheduled', status, 1, due, case when status in ('succeeded', 'failed') then due + interval '40 ms' end,
			case status when 'failed' then 'E' end, case status when 'missed' then 'late' end
		from (select now() - n * interval '10 minutes' as due, case when n < 6 then 'succeeded' when n < 8 then 'failed' when n < 9 then 'missed' else 'due' end as status
			from generate_series(1, 10) n) r`, made.ID)
	if err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, "the sum", func() error {
		for _, address := range []string{"/", "/system"} {
			if page := s.get(t, address).body; !strings.Contains(page, "9 recorded, 7 handed over, 2 failed; at most ") {
				return fmt.Errorf("%s: %s", address, page)
			}
		}
		return nil
	})
	if page := s.get(t, "/system").body; !strings.Contains(page, "95 of 100 were handed over within 40 ms") {
		t.Errorf("it is not said how late: %s", page)
	}
}
