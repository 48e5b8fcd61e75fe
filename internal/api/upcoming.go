package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/catalog"
)

func (s *server) upcoming(api huma.API) {
	register(api, huma.Operation{
		OperationID: "list-upcoming", Method: http.MethodGet, Path: prefix + "/upcoming", Summary: "What is due when, across all schedules",
		Description: "Soonest first, by the triggers as they are now: in the next 24 hours unless said. cut says that there is more than limit.",
	}, s.listUpcoming)
}

// mostAhead is the longest period that may be asked about.
const mostAhead = 366 * 24 * time.Hour

func (s *server) listUpcoming(ctx context.Context, in *struct {
	IfNoneMatch
	From  time.Time `query:"from" doc:"Now unless given."`
	To    time.Time `query:"to" doc:"Before this; a day after from unless given, at most 366 days."`
	Tags  []string  `query:"tag,explode" maxItems:"50" doc:"Of schedules that have this tag; repeated, all of them."`
	Limit int       `query:"limit" minimum:"1" maximum:"1000" default:"100"`
},
) (*listed[catalog.Upcoming], error) {
	if in.From.IsZero() {
		in.From = time.Now().Truncate(time.Second)
	}
	if in.To.IsZero() {
		in.To = in.From.Add(24 * time.Hour)
	}
	if !in.From.Before(in.To) || in.To.Sub(in.From) > mostAhead || in.From.Year() < 1 || in.To.Year() > 9999 {
		return nil, s.answer(&domain.Error{Kind: domain.Invalid, Code: "out_of_range", Field: "to", Message: "want a time after from, at most 366 days"})
	}
	found, err := s.catalog.Upcoming(ctx, in.Tags, in.From, in.To, in.Limit)
	if err != nil {
		return nil, s.answer(err)
	}
	return list(in.IfNoneMatch, found), nil
}

// IfNoneMatch has the tag of the answer that the client has already.
type IfNoneMatch struct {
	Known string `header:"If-None-Match" doc:"The ETag of the answer that the client has. When it would be the same, the answer is 304 without a body."`
}

// listed is a list with a tag of its content, or a 304.
type listed[T any] struct {
	Status int
	ETag   string `header:"ETag"`
	Body   *T
}

// list answers a list, or 304 if the client has this content already.
func list[T any](known IfNoneMatch, body T) *listed[T] {
	hash := sha256.New()
	_ = json.NewEncoder(hash).Encode(body) // an encoding error is answered later
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:12]) + `"`
	for one := range strings.SplitSeq(known.Known, ",") {
		if one = strings.TrimSpace(one); one == "*" || strings.TrimPrefix(one, "W/") == strings.TrimPrefix(tag, "W/") {
			return &listed[T]{Status: http.StatusNotModified, ETag: tag}
		}
	}
	return &listed[T]{http.StatusOK, tag, &body}
}
