// Package tablelocks finds out who has locked a whole table of tactus, and keeps such a lock from stopping what could
// do without the table.
//
// VACUUM FULL, ALTER TABLE, REINDEX and CLUSTER lock a whole table, also while they only wait behind somebody's open
// transaction. A statement that names the table then waits while it is planned. PostgreSQL says of a lock_timeout
// neither which table nor who it was, so whoever gives up asks afterwards (Explain, Beside).
package tablelocks
