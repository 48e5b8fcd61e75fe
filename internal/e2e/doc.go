// Package e2e tests what a team that runs Celery tries before it switches: a schedule is created over HTTP, tactus runs
// as a process of its own on a real PostgreSQL and a real Redis, real Celery workers run the task, and the history
// shows the outcome. The tests use requests only, and look at no internals.
package e2e
