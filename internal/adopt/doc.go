// Package adopt follows schedules that another service keeps in a table of its own: the celery_beat_schedules of a team that
// wrote its own, or the tables of django-celery-beat. The service, its ORM and its admin stay as they are.
//
// Triggers write each schedule and its event in the transaction of the service's own write, so that P1 holds for them too
// (TestUpstreamsWritesCommitWithTheirSchedules). They never fail that transaction (TestTriggersNeverBreakTheUpstream): what
// cannot be scheduled is kept as invalid, with the reason; what could not be written is noted and mended ([Mend]).
//
// Statements that write many rows write their schedules by few statements (TestStorm), with the same outcome as row by row
// (TestManyAtOnceAreAsEachAlone).
//
// The triggers run with the rights of tactus' role on tables of another. They touch known columns of built-in types alone,
// never a row, after a check that nothing of the owner's would run (TestOwnersOfAdoptedTablesGainNothing); what cannot be
// read is refused by [Source.Adopt], and told when it comes later.
//
// Nothing that was due before the adoption fires: effective_from is the time of the adoption. The exception is a clocked
// schedule of django-celery-beat that is enabled and never ran, which that beat would send at once. An adopted schedule is
// changed in its table alone.
//
// All that the triggers do is in the functions of the schema (migrations/0003_adopt.sql and later ones); this package
// installs them, takes them away, and shows beforehand what would come ([Source.Preview]).
package adopt
