// Package testenv gives tests real servers: one PostgreSQL and one Redis per test process, started when first asked
// for and ended with the process. A package that uses it calls [Main] from its TestMain.
//
// Every test gets a database of its own, cloned from a migrated template, and a numbered Redis database of its own; a
// test that breaks servers takes a whole one ([Postgres], [RedisServer]). With TACTUS_TEST_VIA_PGBOUNCER=1 what
// [DatabaseURL] names is reached through a pooler in transaction mode.
//
// Other versions of the servers are those of other suites of Debian: TACTUS_TEST_POSTGRES=bullseye,
// TACTUS_TEST_REDIS=trixie or trixie/valkey. TACTUS_TEST_DATABASE_URL and TACTUS_TEST_REDIS_URL name servers that run
// already.
//
// [Sentinel], [Cluster] and [Standby] start several that belong together. [Through] puts a TCP proxy before a server,
// which delays, cuts, swallows, resets or refuses what passes, or loses one request or its answer.
package testenv
