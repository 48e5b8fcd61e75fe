// Package oldbeat predicts what Celery's own beats do with schedules that are to move to tactus: which crontabs they
// accept, when they would send a task, and where that differs from what tactus will do. It does no I/O.
//
// TestAcceptsWhatCeleryAccepts compares Accepts with Celery itself.
package oldbeat
