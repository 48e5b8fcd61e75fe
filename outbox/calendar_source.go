package outbox

// putCalendarOf is putCalendar for a calendar whose source is given. The schema before the newest has no room for one.
const putCalendarOf = calendarInto + `, source` + calendarFrom + `, nullif(@source::text, '')` + calendarIs +
	`, source = excluded.source` + calendarWas + ` or c.source is distinct from excluded.source` + calendarEnds

func withSource() string { return putCalendarOf }
