package memory

import "time"

// wait is a time in which a schedule could not fire because nobody had judged it. Its due times are not late by that.
type wait struct{ since, until Micros }

// Wait notes that a schedule has waited since an instant, and waits until its record fires.
func (m *Memory) Wait(r *Record, since Micros) {
	if w, ok := m.waits[r.ID]; ok && r.Due <= w.until {
		since = min(since, w.since)
	}
	m.waits[r.ID] = wait{since, max(since, r.Fire)}
}

// waited returns for how long a record has waited whose due time is not settled.
func (m *Memory) waited(r *Record) time.Duration {
	w, ok := m.waits[r.ID]
	if ok && r.Due > w.until {
		delete(m.waits, r.ID)
		return 0
	}
	return time.Duration(w.until-w.since) * time.Microsecond
}
