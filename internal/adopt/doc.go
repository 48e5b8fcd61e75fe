// Package adopt follows schedules that another service keeps in a table of its own: the celery_beat_schedules of a team
// that wrote its own beat, or the tables of django-celery-beat. The service, its ORM and its admin stay as they are.
//
// Triggers write each schedule and its event in the transaction in which the service writes its row, so P1 holds for
// adopted tables too (TestUpstreamsWritesCommitWithTheirSchedules). The triggers never fail that transaction
// (TestTriggersNeverBreakTheUpstream): a row that cannot be scheduled becomes an invalid schedule with a reason, and a
// row that could not be written is recorded and repaired later ([Mend]).
//
// A statement that writes many rows causes few statements that write schedules (TestStorm), with the same outcome as
// row by row (TestManyAtOnceAreAsEachAlone).
//
// The triggers run with the rights of tactus' role on tables that somebody else owns. They read only known columns of
// built-in types, never a whole row, and check first that reading runs no code of the owner's
// (TestOwnersOfAdoptedTablesGainNothing). [Source.Adopt] refuses a table that cannot be read safely. If an adopted
// table becomes unsafe later, the reason is recorded in tactus.adopt_failures and logged.
//
// Nothing that was due before the adoption fires: effective_from is the time of the adoption. The exception is a
// clocked schedule of django-celery-beat that is enabled and never ran, which that beat would send at once. An adopted
// schedule can be changed only in its table.
//
// The triggers call functions of the schema (migrations/0003_adopt.sql and later ones). This package installs the
// triggers, drops them, and previews what adopting would do ([Source.Preview]).
package adopt
