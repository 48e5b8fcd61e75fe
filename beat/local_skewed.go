//go:build clockskew

package beat

import (
	"os"
	"time"
)

// skew is added to the local clock in this build, which is for tests only. It comes from TACTUS_TEST_CLOCK_SKEW, such
// as "1h" or "-1h".
var skew = func() time.Duration {
	d, err := time.ParseDuration(os.Getenv("TACTUS_TEST_CLOCK_SKEW"))
	if err != nil && os.Getenv("TACTUS_TEST_CLOCK_SKEW") != "" {
		panic("TACTUS_TEST_CLOCK_SKEW: " + err.Error())
	}
	return d
}()

func localNow() time.Time { return time.Now().Add(skew) }
