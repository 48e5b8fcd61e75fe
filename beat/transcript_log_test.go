package beat

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
)

// teller is a log that tells what a beat says, as far as a reader wants to know.
type teller struct {
	s *stage
	a *actor
}

func (l teller) Enabled(context.Context, slog.Level) bool { return true }

func (l teller) Handle(_ context.Context, r slog.Record) error {
	values := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		values[a.Key] = a.Value
		return true
	})
	if text := l.phrase(r, values); text != "" {
		l.s.tell(l.a.name, text)
	}
	return nil
}

func (l teller) WithAttrs([]slog.Attr) slog.Handler { return l }

func (l teller) WithGroup(string) slog.Handler { return l }

func counted(n slog.Value, what string) string {
	if n.Int64() == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%s %ss", n, what)
}

// phrase is what a reader wants to know of a line of the log.
func (l teller) phrase(r slog.Record, values map[string]slog.Value) string {
	switch r.Message {
	case "loaded":
		return "loads " + counted(values["schedules"], "schedule")
	case "took the lease":
		return fmt.Sprintf("takes the lease, in term %s", values["epoch"])
	case "lost the lease":
		holder, _, _ := strings.Cut(values["holder"].String(), "/")
		return "finds that the lease has passed to " + holder
	case "gave up the lease":
		return "gives up the lease"
	case "synced":
		return "reads " + counted(values["schedules"], "changed schedule")
	case "resync asked for":
		return fmt.Sprintf("wants to compare its memory with all schedules: %s", values["reason"])
	case "resynced":
		all := counted(values["schedules"], "schedule")
		return fmt.Sprintf("has compared its memory with %s; %s different", all, values["different"])
	case "the clock of Postgres stepped: what is due follows it":
		if l.s.clockTold {
			return fmt.Sprintf("notices that PostgreSQL's clock has stepped by %s", values["by"].Duration().Round(time.Minute))
		}
	case "the clock of Postgres was ahead: what was missed by it is due again":
		return "takes back what was missed by a clock that was ahead: " + counted(values["rows"], "record")
	case "pauses are over: enabled":
		return "enables " + counted(values["schedules"], "schedule") + " whose pause is over"
	default:
		if r.Level > slog.LevelInfo {
			return "says: " + r.Message
		}
	}
	return ""
}
