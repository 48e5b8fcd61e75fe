package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

func (s *server) events(api huma.API) {
	schema := api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[eventPage](), true, "EventPage")
	register(api, huma.Operation{
		OperationID: "list-events", Method: http.MethodGet, Path: prefix + "/events", Summary: "The log of changes, as a page or as Server-Sent Events",
		Description: "Every committed change of a schedule or a calendar, once, and each one's in order; with type=zone.changed, what newer time " +
			"zone data has moved, a zone each, and with a type of route, rule or backfill what became of those: no stream carries them. Go on behind a page with after=next, for as long as " +
			"more is true: a page may have fewer events than limit, because it ends after 8 MiB, or none, when type or schedule choose few. With Accept: " +
			"text/event-stream the answer does not end, and each event's id is the cursor behind it.",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK",
			Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}, eventStream: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, s.feed)
	register(api, huma.Operation{
		OperationID: "stream-events", Method: http.MethodGet, Path: prefix + "/events/stream", Summary: "The log of changes as Server-Sent Events",
		Description: "The same as GET /events with Accept: text/event-stream, for clients that cannot say so.",
		Responses: map[string]*huma.Response{"200": {
			Description: "OK", Content: map[string]*huma.MediaType{eventStream: {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}, func(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
		in.Accept = eventStream
		return s.feed(ctx, in)
	})
}

// eventPage is a page of the log.
type eventPage struct {
	Events []json.RawMessage `json:"events" doc:"CloudEvents 1.0, as in the stream of events."`
	Next   string            `json:"next" doc:"The cursor behind these events: give it as after."`
	More   bool              `json:"more" doc:"There may be more by now. A page looks at a bounded part of the log, and may have chosen nothing of it."`
}

const eventStream = "text/event-stream"

type eventsInput struct {
	After       string           `query:"after" doc:"The cursor behind which to read; now for what is still to come; the beginning of the log unless given."`
	Limit       int              `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Type        domain.EventType `query:"type" enum:"schedule.created,schedule.updated,schedule.deleted,schedule.enabled,schedule.disabled,schedule.invalidated,schedule.completed,calendar.updated,calendar.deleted,route.set,route.deleted,zone.changed,rule.set,rule.deleted,backfill.asked,backfill.completed,backfill.cancelled,backfill.failed" doc:"Only those of this type. What newer time zone data moved (zone.changed), and what became of routes, notification rules (rule) and backfills, is shown only where it is asked for."`
	Schedule    string           `query:"schedule" doc:"Only those of the schedule with this id."`
	Actor       string           `query:"actor" maxLength:"220" doc:"Only those that this actor made, such as key:deploy."`
	OnBehalfOf  string           `query:"on_behalf_of" maxLength:"220" doc:"Only those of which their writer says that they were made on behalf of this user."`
	Accept      string           `header:"Accept"`
	LastEventID string           `header:"Last-Event-ID" doc:"Where a stream broke off; it goes before after."`
}

func (s *server) feed(ctx context.Context, in *eventsInput) (*huma.StreamResponse, error) {
	f := feed{catalog: s.catalog, log: s.log, filter: catalog.EventFilter{Type: in.Type, Actor: in.Actor, OnBehalfOf: in.OnBehalfOf}, limit: in.Limit}
	if in.Schedule != "" {
		id, err := domain.ParseID(in.Schedule)
		if err != nil {
			return nil, s.answer(domain.ErrNotFound)
		}
		f.filter.Schedule = &id
	}
	var err error
	if f.at, err = s.start(ctx, in); err != nil {
		return nil, s.answer(err)
	}
	events, err := f.next(ctx) // before the answer begins, so that an error can still be answered
	if err != nil {
		return nil, s.answer(err)
	}
	if strings.Contains(in.Accept, eventStream) {
		return &huma.StreamResponse{Body: func(c huma.Context) { s.stream(c, &f, events) }}, nil
	}
	return &huma.StreamResponse{Body: func(c huma.Context) { s.page(c, &f, events) }}, nil
}

func (s *server) start(ctx context.Context, in *eventsInput) (catalog.Cursor, error) {
	after := in.After
	if in.LastEventID != "" {
		after = in.LastEventID
	}
	if after == "now" {
		return s.catalog.Latest(ctx)
	}
	return catalog.ParseCursor(after)
}

// feed reads the log, beginning at a cursor.
type feed struct {
	catalog *catalog.Catalog
	log     *slog.Logger
	filter  catalog.EventFilter
	limit   int
	at      catalog.Cursor
	more    bool
}

// event is an event in the form that clients receive.
type event struct {
	at   catalog.Cursor
	kind domain.EventType
	json []byte // on one line
}

// next reads the next events. The previous ones have been sent by then.
func (f *feed) next(ctx context.Context) ([]event, error) {
	catalog.Release(ctx)
	found, at, more, err := f.catalog.Events(ctx, f.at, f.filter, f.limit)
	if err != nil {
		return nil, err
	}
	events := make([]event, 0, len(found))
	for _, e := range found {
		one, err := read(e)
		if err != nil { // written by hand: the relay sets it aside, and the others are read
			f.log.Warn("an event of the log cannot be read", "event_id", fmt.Sprintf("%s/%d", e.Aggregate, e.Version),
				"err", err)
			continue
		}
		events = append(events, one)
	}
	f.at, f.more = at, more
	return events, nil
}

// read converts a row of the log to the form that clients receive.
func read(e catalog.Event) (event, error) {
	if strings.ContainsAny(string(e.Type), "\r\n") {
		return event{}, fmt.Errorf("its type has several lines: %q", e.Type)
	}
	encode := cloudevents.Schedule
	if catalog.IsApart(e.Type) {
		encode = cloudevents.Zone // without a subject
	}
	m, err := encode(e.Row, e.Epoch)
	if err != nil {
		return event{}, err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, m.Payload); err != nil {
		return event{}, err
	}
	return event{e.At, e.Type, line.Bytes()}, nil
}

func (s *server) page(c huma.Context, f *feed, events []event) {
	page := eventPage{Events: make([]json.RawMessage, len(events)), Next: f.at.String(), More: f.more}
	for i, e := range events {
		page.Events[i] = e.json
	}
	c.SetHeader("Content-Type", "application/json")
	if err := json.NewEncoder(c.BodyWriter()).Encode(page); err != nil {
		s.log.Debug("the client is gone", "err", err)
	}
}
