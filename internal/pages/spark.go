package pages

import (
	"fmt"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// Spark draws the newest runs as a row of bars, the newest on the right. The height of a bar is the time that the run
// took; a cross is a run that failed, a dot a due time that did not run.
type Spark struct {
	Bars, Crosses, Dots, Open string // SVG paths
	Said                      string
}

// The size of a spark, in pixels.
const (
	sparkStep   = 4
	sparkHeight = 16
	sparkWidth  = 30 * sparkStep
)

func (v *view) spark(runs []catalog.Brief) Spark {
	var longest time.Duration
	for _, r := range runs {
		if d, ok := r.Took(); ok && d > longest {
			longest = d
		}
	}
	var bars, crosses, dots, open strings.Builder
	tally := map[domain.RunStatus]int{}
	for i, r := range runs {
		x := sparkWidth - (i+1)*sparkStep
		tally[r.Status]++
		switch r.Status {
		case domain.Failed, domain.Revoked:
			fmt.Fprintf(&crosses, "M%d 6l3 8m0-8l-3 8", x)
		case domain.Skipped, domain.MissedRun, domain.Expired, domain.Unknown:
			fmt.Fprintf(&dots, "M%d 14h2", x)
		case domain.Succeeded:
			height := 2
			if d, ok := r.Took(); ok && longest > 0 {
				height = 2 + max(0, int(12*d/longest)) // a worker's clock may be set back during a run
			}
			fmt.Fprintf(&bars, "M%d %dv-%d", x+1, sparkHeight, height)
		default:
			fmt.Fprintf(&open, "M%d 13h2", x)
		}
	}
	return Spark{bars.String(), crosses.String(), dots.String(), open.String(), v.sparkSaid(runs, tally)}
}

// sparkSaid returns the same in words, for screen readers.
func (v *view) sparkSaid(runs []catalog.Brief, tally map[domain.RunStatus]int) string {
	if len(runs) == 0 {
		return v.T("no runs yet")
	}
	said := []string{}
	for _, status := range []domain.RunStatus{domain.Failed, domain.Succeeded, domain.MissedRun, domain.Skipped, domain.Expired, domain.Revoked, domain.Unknown, domain.Started, domain.Retrying, domain.Sent, domain.Due} {
		if n := tally[status]; n > 0 {
			said = append(said, fmt.Sprintf("%d %s", n, stateOf(v.Lang, status).Word))
		}
	}
	return v.T("last %d runs: %s", len(runs), strings.Join(said, ", "))
}
