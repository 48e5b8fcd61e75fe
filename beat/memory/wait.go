package memory

import "time"

// wait is the time during which a schedule could not fire because it was not judged. This time does not make due times
// late.
type wait struct{ since, until Micros }

// Wait notes that a schedule has waited since an instant, and waits until the Fire of its record.
func (m *Memory) Wait(r *Record, since Micros) {
	if w, ok := m.waits[r.ID]; ok && r.Due <= w.until {
		since = min(since, w.since)
	}
	m.waits[r.ID] = wait{since, max(since, r.Fire)}
}

// waited returns for how long the due time of a record has waited.
func (m *Memory) waited(r *Record) time.Duration {
	w, ok := m.waits[r.ID]
	if ok && r.Due > w.until {
		delete(m.waits, r.ID)
		return 0
	}
	return time.Duration(w.until-w.since) * time.Microsecond
}
