package importer_test

import (
	"testing"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
)

// TestLinesOfOneCommandKeepTheirNames takes out the first of three lines of one command, and then moves one.
func TestLinesOfOneCommandKeepTheirNames(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	lines := func(text string) []importer.Entry {
		return crontab(t, text, importer.CrontabOptions{Task: "app.run", Timezone: "UTC"})
	}
	bring(t, pool, importer.Crontab, lines("0 1 * * * work\n0 2 * * * work\n0 3 * * * work\n"), "UTC")
	equal(t, bring(t, pool, importer.Crontab, lines("00 2 * * * work\n0 3 * * * work\n"), "UTC"),
		"cron work 00e13ed7 (2) | same | 0 2 * * * UTC", "cron work 00e13ed7 (3) | same | 0 3 * * * UTC",
		"cron work 00e13ed7 | gone | 0 1 * * * UTC")
	equal(t, bring(t, pool, importer.Crontab, lines("0 5 * * * work\n0 3 * * * work\n"), "UTC"),
		"cron work 00e13ed7 (2) | changed | 0 5 * * * UTC | cron_expression: \"0 2 * * *\" -> \"0 5 * * *\"",
		"cron work 00e13ed7 (3) | same | 0 3 * * * UTC")
	equal(t, bring(t, pool, importer.Crontab, lines("0 6 * * * work\n0 7 * * * work\n"), "UTC"),
		"cron work 00e13ed7 (2) | changed | 0 6 * * * UTC | cron_expression: \"0 5 * * *\" -> \"0 6 * * *\"",
		"cron work 00e13ed7 (3) | changed | 0 7 * * * UTC | cron_expression: \"0 3 * * *\" -> \"0 7 * * *\"")
}

// TestOneLineIsNotTakenForAnother takes out one line of a command and edits another, at once.
func TestOneLineIsNotTakenForAnother(t *testing.T) {
	t.Parallel()
	const name, note = "cron work 00e13ed7",
		" | it counts as a new line, because it cannot be matched to one of the earlier lines of its command"
	for _, c := range []struct {
		before, after string
		want          []string
	}{
		{
			"0 1 * * * work\n0 2 * * * work\n0 3 * * * work\n", "0 5 * * * work\n0 3 * * * work\n",
			[]string{
				name + " (4) | new | 0 5 * * * UTC" + note, name + " (3) | same | 0 3 * * * UTC",
				name + " (2) | gone | 0 2 * * * UTC", name + " | gone | 0 1 * * * UTC",
			},
		},
		{ // the input tells lines of one time apart
			"0 1 * * * work%a\n0 1 * * * work%b\n", "0 1 * * * work%b\n", []string{
				name + " (2) | same | 0 1 * * * UTC",
				name + " | gone | 0 1 * * * UTC",
			},
		},
		{ // and says which one was edited
			"0 1 * * * work%a\n0 2 * * * work%b\n", "0 3 * * * work%b\n",
			[]string{
				name + ` (2) | changed | 0 3 * * * UTC | cron_expression: "0 2 * * *" -> "0 3 * * *"`,
				name + " | gone | 0 1 * * * UTC",
			},
		},
	} {
		pool := testenv.Database(t)
		bring(t, pool, importer.Crontab,
			crontab(t, c.before, importer.CrontabOptions{Task: "app.run", Timezone: "UTC"}), "UTC")
		equal(t, bring(t, pool, importer.Crontab,
			crontab(t, c.after, importer.CrontabOptions{Task: "app.run", Timezone: "UTC"}), "UTC"), c.want...)
	}
}

// TestTwoSources brings the same names in from two hosts: neither changes nor prunes the other's.
func TestTwoSources(t *testing.T) {
	t.Parallel()
	const note = " | its name here has its source behind it, because a schedule from another source has the name"
	pool := testenv.Database(t)
	first, second := importer.Source{Kind: importer.Crontab, Label: "one:/etc/crontab"},
		importer.Source{Kind: importer.Crontab, Label: "two:/etc/crontab"}
	lines := func(text string) []importer.Entry {
		return crontab(t, text, importer.CrontabOptions{Task: "app.run", Timezone: "UTC"})
	}
	equal(t, bringFrom(t, pool, first, lines("0 1 * * * work\n0 2 * * * other\n"), "UTC"),
		"cron work 00e13ed7 | new | 0 1 * * * UTC", "cron other d9298a10 | new | 0 2 * * * UTC")
	equal(t, bringFrom(t, pool, second, lines("0 3 * * * work\n"), "UTC"),
		"cron work 00e13ed7 [two:/etc/crontab] | new | 0 3 * * * UTC"+note)
	equal(t, bringFrom(t, pool, first, lines("0 1 * * * work\n"), "UTC"), "cron work 00e13ed7 | same | 0 1 * * * UTC",
		"cron other d9298a10 | gone | 0 2 * * * UTC")
	equal(t, bringFrom(t, pool, second, lines("0 4 * * * work\n"), "UTC"),
		"cron work 00e13ed7 [two:/etc/crontab] | changed | 0 4 * * * UTC | cron_expression: \"0 3 * * *\" -> \"0 4 "+
			"* * *\""+note)
}

// TestForeignNamesAreLeftAlone imports what has the name of a schedule that came from elsewhere.
func TestForeignNamesAreLeftAlone(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	theirs := domain.Definition{Name: "taken", TaskName: "app.theirs", CronExpression: "0 9 * * *"}
	if _, _, err := outbox.NewStore(pool, "", handover.Limits{}.Check).Put(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	mine := importer.Entry{Definition: domain.Definition{
		Name: "taken", TaskName: "app.mine",
		CronExpression: "0 9 * * *",
	}}
	twice := importer.Entry{Definition: domain.Definition{
		Name: "twice", TaskName: "app.mine",
		CronExpression: "0 9 * * *",
	}}
	equal(t, bring(t, pool, importer.Celery, []importer.Entry{mine, twice, twice}, "UTC"),
		"taken | refused | 0 9 * * * | name_taken at /name", "twice | new | 0 9 * * * UTC",
		"twice | refused | 0 9 * * * UTC | name_taken at /name")
	if s := named(t, pool, "taken"); s.TaskName != "app.theirs" {
		t.Errorf("%+v", s)
	}
}

// TestOddNamesKeepTheirSchedules imports names twice that end like the number of a line, or have spaces around them. Of
// names that differ by these spaces alone the one without them has the schedule, in any order.
func TestOddNamesKeepTheirSchedules(t *testing.T) {
	t.Parallel()
	pool := testenv.Database(t)
	entries := func() (all []importer.Entry) {
		for _, name := range []string{"nightly backup (2)", " daily ", "", "daily", " twice", "twice ", "alone "} {
			all = append(all, importer.Entry{Definition: domain.Definition{Name: name, TaskName: "app.t", CronExpression: "0 1 * * *"}})
		}
		return all
	}
	const note = " | its name here is without the spaces around it"
	const none = "refused | 0 1 * * * | required at /name"
	taken := func(name string) string { return name + " | refused | 0 1 * * * | name_taken at /name" }
	for _, change := range []string{"new", "same"} {
		is := " | " + change + " | 0 1 * * * UTC"
		equal(t, bring(t, pool, importer.Crontab, entries(), "UTC"), "nightly backup (2)"+is, taken("daily")+note, none,
			"daily"+is, taken("twice")+note, taken("twice")+note, "alone"+is+note)
	}
}

// TestNumbersForNames has entries that a program names by numbers, one of which another has as a text.
func TestNumbersForNames(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, `
import celery
app = celery.Celery("app", broker="redis://localhost:1/0")
app.conf.beat_schedule = {name: {"task": "app.a", "schedule": 60} for name in (1, "1", 2, None, "None")}
`))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, bring(t, testenv.Database(t), importer.Celery, application.In(""), "UTC"),
		"1 | refused | - | name_taken at /name", "1 | new | every 60 s", "2 | new | every 60 s",
		"None | refused | - | name_taken at /name", "None | new | every 60 s")
}
