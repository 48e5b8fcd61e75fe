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
		{
			SpecVersion: specVersion, ID: "019ca93d-4000-7000-8000-00000000002a/7", Source: source, Type: domain.ScheduleCreated,
			Subject: "019ca93d-4000-7000-8000-00000000002a", Time: at, Epoch: "k3v9", Actor: "role:shop", OnBehalfOf: "alice",
			TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		},
		{SpecVersion: specVersion, ID: "log/k", Source: source, Type: domain.LogEpochStarted, Time: at.Truncate(time.Second), Epoch: "k"},
		{
			SpecVersion: "\"\\", ID: "日報\x00\x7f\x80", Source: "<&>", Subject: "\u2028", Time: at.In(time.FixedZone("", 9*3600)),
			Epoch: "\n", Actor: "<", OnBehalfOf: "日", Reason: "\"", TraceParent: "&",
		},
		{Time: at},
	} {
		want, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(h.append(nil)) + "}"; got != string(want) {
			t.Errorf("%s\nwant %s", got, want)
		}
		if read, ok := ownLayout([]byte(string(h.append(nil)) + `,"data":{}}`)); ok && read != h {
			t.Errorf("%+v is read as %+v", h, read)
		}
	}
}
