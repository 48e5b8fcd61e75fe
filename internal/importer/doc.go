// Package importer imports schedules from the places other than tables where Celery teams keep them: RedBeat's keys in
// Redis, a static beat_schedule, and crontab files. Each becomes a list of definitions ([Entry]). [Importer.Plan]
// compares the entries, by name, with the existing schedules, and [Importer.Apply] writes those that are new or
// changed. Importing twice changes nothing the second time, which the tests do.
//
// Each imported schedule has a tag that names its source, such as import:redbeat. With the tag, a plan finds the
// schedules whose entries are gone from the source, and leaves a schedule of the same name from another source alone
// (TestForeignNamesAreLeftAlone).
package importer
