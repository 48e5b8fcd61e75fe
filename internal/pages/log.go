package pages

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

// logData is a part of the log, the newest event first.
type logData struct {
	Types    []choice
	Schedule string
	Actor    string
	Changes  []changeLine
	Older    string
	First    bool
	Replay   string // the command that publishes these events again; empty unless the viewer may run it
}

// logTypes are the event types that the filter offers.
var logTypes = []domain.EventType{
	domain.ScheduleCreated, domain.ScheduleUpdated, domain.ScheduleDeleted, domain.ScheduleEnabled, domain.ScheduleDisabled, domain.ScheduleInvalidated,
	domain.ScheduleCompleted, domain.CalendarUpdated, domain.CalendarDeleted, domain.RouteSet, domain.RouteDeleted,
	domain.RuleSet, domain.RuleDeleted,
}

const logShown = 50

func (s *site) log() {
	s.get("/log", func(v *view) (string, any, error) {
		q := v.r.URL.Query()
		f := catalog.EventFilter{}
		if t := domain.EventType(q.Get("type")); slices.Contains(logTypes, t) {
			f.Type = t
		}
		if text := q.Get("schedule"); text != "" {
			id, err := domain.ParseID(text)
			if err != nil {
				return "", nil, domain.ErrNotFound
			}
			f.Schedule = &id
		}
		f.Actor = strings.TrimSpace(q.Get("actor"))
		before, _ := strconv.ParseInt(q.Get("before"), 10, 64) // otherwise 0: the newest
		changes, next, err := v.Catalog.Changes(v.ctx(), f, before, logShown)
		if err != nil {
			return "", nil, err
		}
		d := logData{
			Schedule: q.Get("schedule"), Actor: f.Actor, Changes: v.changeLines(changes), First: before <= 0,
			Types: []choice{{"", v.T("every change"), f.Type == ""}},
		}
		for _, t := range logTypes {
			d.Types = append(d.Types, choice{string(t), v.T(changeWords[t]), t == f.Type})
		}
		if next > 0 {
			older := url.Values{"before": {strconv.FormatInt(next, 10)}}
			for name, value := range map[string]string{"type": string(f.Type), "schedule": d.Schedule, "actor": f.Actor} {
				if value != "" {
					older.Set(name, value)
				}
			}
			d.Older = "/log?" + older.Encode()
		}
		if f.Actor == "" && mayReadAll.Demand(v.ctx()) == nil { // a replay chooses by type and schedule alone
			d.Replay = replayCommand(changes, f)
		}
		return "log", d, nil
	})
}

// replayCommand returns the command that publishes again all events that a filter selects between the oldest and the
// newest of some changes, which are sorted with the newest first.
func replayCommand(changes []catalog.Change, f catalog.EventFilter) string {
	if len(changes) == 0 || catalog.IsApart(f.Type) { // no stream carries these events
		return ""
	}
	command := fmt.Sprintf("tactus replay --from %d --to %d", changes[len(changes)-1].Position, changes[0].Position)
	if f.Schedule != nil {
		command += " --schedule " + f.Schedule.String()
	}
	if f.Type != "" {
		command += " --type " + string(f.Type)
	}
	return command + " --stream tactus:replay:1"
}
