// Package beat keeps all schedules in memory and fires what is due, exactly once per due time.
package beat
