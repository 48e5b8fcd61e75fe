package pages

import "crypto/rand"

// newKey is an Idempotency-Key: a form that is sent twice makes one schedule.
func newKey() string { return "page-" + rand.Text() }
