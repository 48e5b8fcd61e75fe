package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/catalog"
)

func (s *server) calendars(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-calendars", Method: http.MethodGet, Path: prefix + "/calendars", Summary: "Named sets of days and ranges, by name",
	}, s.listCalendars)
	register(api, huma.Operation{
		OperationID: "get-calendar", Method: http.MethodGet, Path: prefix + "/calendars/{name}", Summary: "Read a calendar, with what it holds next",
	}, s.getCalendar)
	register(api, huma.Operation{
		OperationID: "put-calendar", Method: http.MethodPut, Path: prefix + "/calendars/{name}", Summary: "Create the calendar of that name, or change it",
		Description: "The body has days, or ics: the text of an iCalendar file. Schedules that use the calendar go by it from then on.",
	}, s.putCalendar)
	takes[calendarBody](api, prefix+"/calendars/{name}")
	register(api, huma.Operation{
		OperationID: "delete-calendar", Method: http.MethodDelete, Path: prefix + "/calendars/{name}", Summary: "Delete a calendar that no schedule uses", DefaultStatus: http.StatusNoContent,
	}, s.deleteCalendar)
}

// calendarBody is the body of a request that writes a calendar.
type calendarBody struct {
	Description string          `json:"description,omitempty"`
	Source      *string         `json:"source,omitempty" doc:"The files that it comes from, as tactus apply --source names them: they may prune it. It stays as it is unless given; empty for none."`
	Days        []calendar.Item `json:"days,omitempty" doc:"Days, such as \"2027-01-01\", and ranges."`
	ICS         string          `json:"ics,omitempty" doc:"The text of an iCalendar file (RFC 5545), instead of days."`
}

// calendarChange is a period that a calendar contains.
type calendarChange struct {
	From   time.Time `json:"from"`
	To     time.Time `json:"to" doc:"The instant before which it ends."`
	Reason string    `json:"reason,omitempty"`
}

// calendarAnswer is a calendar in an answer.
type calendarAnswer struct {
	domain.Calendar
	Size   int              `json:"size" doc:"How many days and ranges it has, repetitions included."`
	Next   []calendarChange `json:"next" doc:"What it holds now and next."`
	UsedBy *int64           `json:"used_by,omitempty" doc:"How many schedules use it; 10000 when there are more."`

	InvalidReason string `json:"invalid_reason,omitempty" doc:"Why it cannot be read, so that the schedules which use it are invalid: put it again."`
}

type calendarOutput struct {
	Status int
	ETag   string `header:"ETag"`
	Body   calendarAnswer
}

// nextChanges is how many changes an answer about a calendar shows.
const nextChanges = 10

// answerOf returns the answer for a calendar, with its changes in a time zone.
func (s *server) answerOf(c domain.Calendar, timezone string) (a calendarAnswer, err error) {
	a.Calendar, a.Next = c, []calendarChange{}
	if a.Days == nil {
		a.Days = []calendar.Item{}
	}
	location, err := zone.Load(timezone)
	if err != nil {
		return a, domain.TriggerFault(err)
	}
	set, err := s.store.SetOf(c)
	if err != nil { // written by hand: the others are listed all the same
		a.InvalidReason = err.Error()
		return a, nil
	}
	a.Size = set.Size()
	for _, change := range set.After(time.Now(), location, nextChanges) {
		a.Next = append(a.Next, calendarChange(change))
	}
	return a, nil
}

// ByCalendar names a calendar.
type ByCalendar struct {
	Name string `path:"name" doc:"The calendar's name."`
}

// InZone names the time zone in which changes are shown.
type InZone struct {
	Timezone string `query:"timezone" maxLength:"200" doc:"IANA name, in which next is shown; that of new schedules unless given."`
}

func (s *server) zoneOf(in InZone) string {
	switch {
	case in.Timezone != "":
		return in.Timezone
	case s.timezone != "":
		return s.timezone
	}
	return "UTC"
}

type calendarsOutput struct {
	Body struct {
		Calendars []calendarAnswer `json:"calendars"`
		Total     int64            `json:"total"`
		Page      int              `json:"page"`
		PerPage   int              `json:"per_page"`
	}
}

// sizeOf returns about how many bytes the days of a calendar take. Its compiled set is in a cache, which has a bound.
func sizeOf(c domain.Calendar) (bytes int) {
	for _, i := range c.Days {
		bytes += 128 + len(i.From) + len(i.To) + len(i.Reason) + len(i.RRule) + len(i.Timezone)
	}
	return bytes
}

func (s *server) listCalendars(ctx context.Context, in *struct {
	InZone
	Page    int `query:"page" minimum:"1" maximum:"1000000" default:"1"`
	PerPage int `query:"per_page" minimum:"1" maximum:"100" default:"50"`
},
) (*calendarsOutput, error) {
	all, total, err := s.store.PageOfCalendars(ctx, in.PerPage, (in.Page-1)*in.PerPage)
	if err != nil {
		return nil, s.answer(err)
	}
	out := &calendarsOutput{}
	out.Body.Calendars = []calendarAnswer{}
	for _, c := range all {
		if err := catalog.Hold(ctx, sizeOf(c)); err != nil {
			return nil, s.answer(err)
		}
		a, err := s.answerOf(c, s.zoneOf(in.InZone))
		if err != nil {
			return nil, s.answer(err)
		}
		out.Body.Calendars = append(out.Body.Calendars, a)
	}
	out.Body.Total, out.Body.Page, out.Body.PerPage = total, in.Page, in.PerPage
	return out, nil
}

func (s *server) getCalendar(ctx context.Context, in *struct {
	ByCalendar
	InZone
},
) (*calendarOutput, error) {
	return s.readCalendar(ctx, in.Name, s.zoneOf(in.InZone), http.StatusOK)
}

func (s *server) readCalendar(ctx context.Context, name, timezone string, status int) (*calendarOutput, error) {
	kept, usedBy, err := s.store.Calendar(ctx, name)
	if err == nil {
		err = catalog.Hold(ctx, sizeOf(kept))
	}
	if err != nil {
		return nil, s.answer(err)
	}
	a, err := s.answerOf(kept, timezone)
	if err != nil {
		return nil, s.answer(err)
	}
	if len(access.From(ctx).Scope) == 0 { // others would learn of schedules that they may not see
		a.UsedBy = &usedBy
	}
	return &calendarOutput{Status: status, ETag: fmt.Sprintf(`"%d"`, kept.Version), Body: a}, nil
}

func (s *server) putCalendar(ctx context.Context, in *struct {
	ByCalendar
	InZone
	IfMatch
	body
},
) (*calendarOutput, error) {
	version, err := in.version()
	if err != nil {
		return nil, s.answer(err)
	}
	var c domain.Calendar
	if gone := s.bodies.judge(ctx, func() { c, err = domain.DecodeCalendar(in.Name, in.RawBody) }); gone != nil {
		return nil, s.answer(gone)
	}
	created := false
	if err == nil {
		_, created, err = s.store.PutCalendar(ctx, c, version)
	}
	if err != nil {
		return nil, s.answer(err)
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	return s.readCalendar(ctx, in.Name, s.zoneOf(in.InZone), status)
}

func (s *server) deleteCalendar(ctx context.Context, in *struct {
	ByCalendar
	IfMatch
},
) (*struct{}, error) {
	version, err := in.version()
	if err == nil {
		err = s.store.DeleteCalendar(ctx, in.Name, version)
	}
	return nil, s.answer(err)
}
