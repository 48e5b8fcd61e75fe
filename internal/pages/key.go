package pages

import "crypto/rand"

// newKey returns an Idempotency-Key, so that a form that is sent twice creates one schedule.
func newKey() string { return "page-" + rand.Text() }
