package results

import (
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

func TestConclude(t *testing.T) {
	t.Parallel()
	const timeout, longest = 24 * time.Hour, time.Hour
	ago := func(d time.Duration) *time.Time { at := noon.Add(-d); return &at }
	for name, c := range map[string]struct {
		run    openRun
		want   domain.RunStatus // empty: there is still hope
		reason string
	}{
		"young": {openRun{Status: domain.Sent, HeardAt: *ago(time.Hour)}, "", ""},
		"never answered": {
			openRun{Status: domain.Sent, HeardAt: *ago(timeout)},
			domain.Unknown,
			"nothing was heard of it for 24h",
		},
		"never handed over": {
			openRun{Status: domain.Due, HeardAt: *ago(timeout)},
			domain.Unknown,
			"not handed over",
		},
		"leaves no result": {
			openRun{Status: domain.Sent, NoResult: true, HeardAt: *ago(timeout)},
			domain.Unknown, "leaves no result",
		},
		"unreadable": {
			openRun{Status: domain.Sent, unreadable: "pickle", HeardAt: *ago(timeout)},
			domain.Unknown, "cannot be read: pickle",
		},
		"started long ago": {openRun{
			Status: domain.Started, FiredAt: *ago(2 * timeout),
			HeardAt: *ago(timeout),
		}, domain.Unknown, "nothing"},
		"started long ago, but retried": {openRun{
			Status: domain.Retrying, FiredAt: *ago(2 * timeout),
			HeardAt: *ago(time.Hour),
		}, "", ""},
		"just expired": {openRun{
			Status: domain.Sent, HeardAt: *ago(2 * time.Minute),
			ExpiresAt: ago(time.Minute),
		}, "", ""},
		"long expired": {openRun{
			Status: domain.Sent, HeardAt: *ago(2 * longest),
			ExpiresAt: ago(longest + 1),
		}, domain.Expired, "no worker answered"},
		"long expired, never sent": {openRun{
			Status: domain.Due, HeardAt: *ago(2 * longest),
			ExpiresAt: ago(longest + 1),
		}, domain.Expired, "no worker answered"},
		"expired while it runs": {openRun{
			Status: domain.Started, HeardAt: *ago(2 * longest),
			ExpiresAt: ago(longest + 1),
		}, "", ""},
		"expired, with a long limit": {openRun{
			Status: domain.Sent, TimeLimit: 7200, HeardAt: *ago(2 * longest),
			ExpiresAt: ago(longest + 1),
		}, "", ""},
		"on a stream": {openRun{
			Status: domain.Sent, Stream: true, HeardAt: *ago(timeout),
			ExpiresAt: ago(2 * longest),
		}, domain.Sent, ""},
		"on a stream, not yet": {openRun{
			Status: domain.Sent, Stream: true, HeardAt: *ago(time.Hour),
			ExpiresAt: ago(2 * longest),
		}, "", ""},
		"for a stream, never written": {
			openRun{Status: domain.Due, Stream: true, HeardAt: *ago(timeout)},
			domain.Unknown, "not handed over",
		},
	} {
		c.run.Now = noon
		got, over := c.run.conclude(timeout, longest)
		if over != (c.want != "") || got.status != c.want || got.final != over ||
			!strings.Contains(got.reason, c.reason) || (c.reason == "") != (got.reason == "") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestOldest counts the sweeps that look at a run while it grows old: they are frequent at first; later, the pauses
// between them are in proportion to the run's age.
func TestOldest(t *testing.T) {
	t.Parallel()
	const every, life = 10 * time.Second, 24 * time.Hour
	if oldest(0) != ever {
		t.Error("the first sweep does not look at everything")
	}
	for _, birth := range []uint64{1, 2, 3, 1000, 4095, 123457} {
		looks, last := 0, time.Duration(0)
		for age := every; age < life; age += every {
			if n := birth + uint64(age/every); age < oldest(n) {
				if waited := age - last; waited > every && waited > age {
					t.Errorf("born in sweep %d: %s until the look at age %s", birth, waited, age)
				}
				looks, last = looks+1, age
			}
		}
		if looks > 60 || life-last > life/2+time.Hour {
			t.Errorf("born in sweep %d: %d looks, the last at age %s", birth, looks, last)
		}
	}
}
