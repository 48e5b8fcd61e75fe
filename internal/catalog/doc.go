// Package catalog reads what the outside asks for: lists of schedules with their last and next runs, and the history of
// runs. It never writes; the one write path is package outbox.
package catalog
