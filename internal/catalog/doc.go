// Package catalog reads what the API answers: lists of schedules with their last and next runs, and the history of
// runs. It never writes; package outbox has the only write path.
package catalog
