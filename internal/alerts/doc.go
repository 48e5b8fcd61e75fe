// Package alerts has no code: its tests show that Prometheus takes the rules of deployments/prometheus, that each rule
// has a page in docs/runbook, and that an alert fires while what it names is so, and ends afterwards.
package alerts
