package sqlexpr

// A statement that names a table waits for whoever has locked the whole table, and does so before a lock_timeout that
// it sets itself is in force. A transaction that sets one before would take more than one message, and a process of
// ours that is stopped between two would hold its own locks for as long. So such a lock is looked for beforehand. The
// conditions also count locks that are only waited for: whoever asks later stands behind them.

// ReadersWait is the condition that whoever reads a table, which is named with its schema, would wait.
func ReadersWait(table string) string { return tableLocked(table, `'AccessExclusiveLock'`) }

// WritersWait is the condition that whoever writes to a table would wait.
func WritersWait(table string) string {
	return tableLocked(table, `'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'`)
}

func tableLocked(table, modes string) string {
	return `exists (
    select from pg_locks where locktype = 'relation' and relation = '` + table + `'::regclass and pid <> pg_backend_pid()
        and database = (select oid from pg_database where datname = current_database()) and mode in (` + modes + `))`
}
