package relay

// ByIDsSQL are the statements that find many runs by their ids.
var ByIDsSQL = map[string]string{
	"confirm at once": confirmAtOnceSQL, "confirm": confirmSQL, "waiting": waitingRunsSQL, "expiry": renewExpirySQL, "hand again": handAgainSQL,
	"passed over": passedOverSQL,
}

// DueOf is for the tests.
var DueOf = dueOf

// ListUnlisted is what the upkeep does.
var ListUnlisted = (*Relay).listUnlisted
