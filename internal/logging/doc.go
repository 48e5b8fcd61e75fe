// Package logging is how processes log: as text or JSON, from a level on that can be changed while they run, and what
// goes on failing once and then in growing pauses.
package logging
