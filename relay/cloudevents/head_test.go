package cloudevents

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// TestHeadIsJSON checks that a head is encoded as json.Marshal would.
func TestHeadIsJSON(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 120_000_000, time.UTC)
	for _, h := range []Head{
		{specVersion, "019ca93d-4000-7000-8000-00000000002a/7", source, domain.ScheduleCreated, "019ca93d-4000-7000-8000-00000000002a", at, "k3v9"},
		{specVersion, "log/k", source, domain.LogEpochStarted, "", at.Truncate(time.Second), "k"},
		{"\"\\", "日報\x00\x7f\x80", "<&>", "", "\u2028", at.In(time.FixedZone("", 9*3600)), "\n"},
		{Time: at},
	} {
		want, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(h.append(nil)) + "}"; got != string(want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
