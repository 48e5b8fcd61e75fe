// Package telemetry shows a process to its operators: it serves /livez, /readyz and /metrics.
package telemetry
