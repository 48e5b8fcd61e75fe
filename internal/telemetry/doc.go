// Package telemetry is how operators see a process: /livez, /readyz and /metrics on its HTTP address, and its log.
package telemetry
