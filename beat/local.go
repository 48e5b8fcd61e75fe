//go:build !clockskew

package beat

import "time"

// localNow returns the time of this machine's clock. Only its monotonic reading is used; the time of day comes from
// PostgreSQL (see clock).
func localNow() time.Time { return time.Now() }
