// Package oldbeat knows what Celery's own beats do with the schedules that are to move to tactus: which crontabs they take,
// when they would send, and where that differs from what tactus will do. It is pure.
//
// Accepts is held against Celery itself (TestAcceptsWhatCeleryAccepts).
package oldbeat
