// Package relay carries the rows of the outbox to sinks: every committed row, once, in order.
package relay
