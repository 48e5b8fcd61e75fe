package cron_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	peer "github.com/netresearch/go-cron"

	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/domain/zone"
)

// TestPeer compares the engine with a second oracle, github.com/netresearch/go-cron, two days or more away from any
// change of the clocks: nearer to one, the other is wrong.
func TestPeer(t *testing.T) {
	t.Parallel()
	const margin = 48 * time.Hour
	r := rand.New(rand.NewPCG(20261123, 2))
	names := zone.Names()
	compared := 0
	for range 20_000 {
		dialect := []cron.Dialect{cron.Celery, cron.Vixie}[r.IntN(2)]
		expression, _ := random(r, dialect)
		location, err := zone.Load(names[r.IntN(len(names))])
		if err != nil {
			t.Fatal(err)
		}
		theirs, ok := readByPeer(expression, dialect)
		ours, err := cron.Parse(expression, cron.Options{Dialect: dialect})
		if !ok || err != nil {
			continue
		}
		after := time.Unix(63072000+r.Int64N(66*366*86400), 0).In(location) // 1972 to 2037
		start, end := after.ZoneBounds()
		due, ok := ours.In(location, "", "").Next(after)
		if !ok || after.Sub(start) < margin || !end.IsZero() && end.Sub(due) < margin {
			continue
		}
		compared++
		if want := theirs.Next(after); !want.Equal(due) {
			t.Errorf("%s (%s) in %s after %s: %s, the peer says %s", expression, dialect, location, after, due, want)
		}
	}
	if compared < 5_000 {
		t.Errorf("only %d cases were compared", compared)
	}
}

// stepped finds a day of the week with a step but no end, which to the peer goes on to 7, to us to 6.
var stepped = regexp.MustCompile(`\d/\d+$`)

func readByPeer(expression string, dialect cron.Dialect) (peer.Schedule, bool) {
	options := peer.Minute | peer.Hour | peer.Dom | peer.Month | peer.Dow | peer.Extended
	if dialect == cron.Vixie {
		options |= peer.DowOrDom
		if strings.Contains(expression, "*/") {
			return nil, false // to the peer such a field is restricted, to Vixie's cron it is not
		}
	}
	if stepped.MatchString(expression) {
		return nil, false
	}
	schedule, err := peer.MustNewParser(options).WithMaxSearchYears(41).Parse(expression)
	return schedule, err == nil
}
