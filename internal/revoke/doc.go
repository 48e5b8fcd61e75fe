// Package revoke tells Celery's workers of the runs that were cancelled, as Celery's own control does: by a message to
// all of them. Only workers that listen just then hear it, and they remember it until they start anew. So while such a
// run is open they are told again, for an hour.
package revoke
