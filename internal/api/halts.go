package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
)

func (s *server) halts(api huma.API) {
	const disable, skip = prefix + "/schedules/{id}/disable", prefix + "/schedules/{id}/skip"
	register(api, huma.Operation{
		OperationID: "disable-schedule", Method: http.MethodPost, Path: disable, Summary: "Stop a schedule, perhaps for a time and with a reason",
		Description: "The body may be empty. With until, the schedule is enabled again by itself. What is due meanwhile neither fires nor counts as missed.",
	}, s.disable)
	mayTake[pauseBody](api, disable)
	register(api, huma.Operation{
		OperationID: "skip-schedule", Method: http.MethodPost, Path: skip, Summary: "Skip the next due times of a schedule",
		Description: "They are recorded in the history as skipped, by whom and why, as they pass. Due times that are skipped already do not count again; count 0 skips none any more. " +
			"A change of the trigger ends a skip.",
	}, s.skip)
	mayTake[skipBody](api, skip)
}

type pauseBody struct {
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Why."`
	Until  string `json:"until,omitempty" doc:"When the schedule is enabled again by itself: RFC 3339, or a local time of its zone."`
}

type skipBody struct {
	Count  *int   `json:"count,omitempty" minimum:"0" maximum:"1000" doc:"How many due times; 1 unless given."`
	Reason string `json:"reason,omitempty" maxLength:"1000" doc:"Why."`
}

type haltInput struct {
	ByID
	IfMatch
	body
}

func (s *server) disable(ctx context.Context, in *haltInput) (*changed, error) {
	var asked pauseBody
	unread := domain.DecodeInto(in.RawBody, &asked)
	return s.change(func(ctx context.Context, id domain.ID, version int64) (domain.Schedule, error) {
		ctx = because(ctx, asked.Reason)
		return s.store.Disable(ctx, id, version, func(before domain.Schedule, now time.Time) (domain.Pause, error) {
			p, err := before.NewPause(asked.Reason, asked.Until, now)
			p.By, _ = outbox.ActorOf(ctx)
			return p, domain.Join(unread, err)
		})
	})(ctx, &changeInput{in.ByID, in.IfMatch})
}

func (s *server) skip(ctx context.Context, in *haltInput) (*changed, error) {
	var asked skipBody
	unread := domain.DecodeInto(in.RawBody, &asked)
	count := 1
	if asked.Count != nil {
		count = *asked.Count
	}
	if unread != nil {
		return nil, s.answer(domain.Join(unread, domain.SkipFaults(count, asked.Reason)))
	}
	out, err := s.change(func(ctx context.Context, id domain.ID, version int64) (domain.Schedule, error) {
		by, _ := outbox.ActorOf(ctx)
		return s.store.Skip(because(ctx, asked.Reason), id, version, count, by, asked.Reason)
	})(ctx, &changeInput{in.ByID, in.IfMatch})
	if out != nil {
		out.Body.Message = "Skips no due time"
		if until := out.Body.SkipUntil; !until.IsZero() {
			out.Body.Message = "Skips due times up to " + until.Format(time.RFC3339Nano)
		}
	}
	return out, err
}

// because returns a context that records the reason of a request's body, if there is one, with each event.
func because(ctx context.Context, reason string) context.Context {
	if reason == "" {
		return ctx
	}
	by, _ := outbox.ActorOf(ctx)
	return outbox.WithActor(ctx, by, reason)
}
