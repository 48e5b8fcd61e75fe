package sqlexpr

// SystemIdentifier and Timeline are who the server is. The numbers of transactions mean something only where both are
// the same. A standby cannot tell its timeline in this way: Timeline raises there.
const (
	SystemIdentifier = `(select system_identifier::text from pg_control_system())`
	Timeline         = `substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)`
)
