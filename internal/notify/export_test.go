package notify

import "time"

// Hurry has couriers try again at once.
func Hurry() {
	for i := range pauses {
		pauses[i] = 50 * time.Millisecond
	}
}

// Allows reports whether an address may be connected to.
var Allows = Private.allows

// Signatures signs a message.
var Signatures = signatures

// Likes is likes.
var Likes = likes

// TakeSQL is takeSQL.
const TakeSQL = takeSQL

// HostOf is hostOf.
var HostOf = hostOf
