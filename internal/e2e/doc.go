// Package e2e holds what a team that runs Celery tries before it switches, as tests: a schedule is made over HTTP, tactus
// runs as a process of its own on a real Postgres and a real Redis, real Celery workers run the task, and the history tells
// what became of it. Nothing is reached into: what is not said by a request is not known.
package e2e
