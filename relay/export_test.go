package relay

// ByIDsSQL are the statements that find many runs by their ids.
var ByIDsSQL = map[string]string{
	"confirm at once": confirmAtOnce, "confirm": confirm, "waiting": waitingRuns, "expiry": renewExpiry, "hand again": handAgain,
	"passed over": passedOver,
}

// DueOf is for the tests.
var DueOf = dueOf

// ListUnlisted is what the upkeep does.
var ListUnlisted = (*Relay).listUnlisted
