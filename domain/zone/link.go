package zone

import "cmp"

// links are the abbreviations that the database still has as names, each with the zone that it makes them a link to.
var links = map[string]string{
	"CET": "Europe/Brussels", "EET": "Europe/Athens", "EST": "America/Panama", "HST": "Pacific/Honolulu", "MET": "Europe/Brussels",
	"MST": "America/Phoenix", "WET": "Europe/Lisbon",
}

// Link returns the zone whose clocks an abbreviation has in the database ("CET" has those of "Europe/Brussels"), and
// any other name as it is. Load refuses the abbreviation all the same; Link is for reading what was set up elsewhere.
func Link(name string) string { return cmp.Or(links[name], name) }
