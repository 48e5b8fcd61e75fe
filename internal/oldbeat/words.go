package oldbeat

import (
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/domain"
)

// Words describes the trigger of a definition in a few words, for a table.
func Words(d domain.Definition) string {
	switch {
	case d.RunAt != "":
		return "at " + d.RunAt
	case d.IntervalSeconds != 0:
		return "every " + strconv.FormatFloat(d.IntervalSeconds, 'f', -1, 64) + " s"
	case d.RRule != "":
		return strings.ReplaceAll(d.RRule, "\n", " ") + " " + d.Timezone
	case d.CronExpression != "":
		return strings.TrimSpace(d.CronExpression + " " + d.Timezone)
	}
	return "-"
}
