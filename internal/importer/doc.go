// Package importer brings schedules in from where Celery teams keep them besides tables: RedBeat's keys in Redis, a static
// beat_schedule, and crontab files. What they say becomes definitions ([Entry]); [Importer.Plan] holds those against the
// schedules that there are, by name, and [Importer.Apply] writes what is new or changed. Importing again changes nothing
// (the tests do it twice). A tag, import:redbeat and the like, marks what came from where: a plan tells what is gone
// there, and a schedule of the same name that came from elsewhere is left alone (TestForeignNamesAreLeftAlone).
package importer
