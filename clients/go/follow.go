package tactus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// FollowedEvent is an event of the log.
type FollowedEvent struct {
	Cursor string          // the place behind it: as filter.After, Follow goes on from there
	Event  json.RawMessage // a CloudEvent
}

// Follow are the events behind filter.After and all that are committed from then on, as they are (Server-Sent Events).
// It connects again whenever the connection ends, and loses and repeats nothing: the API is told which event was the
// last one (Last-Event-ID). Config.Attempts in a row that bring nothing end it with an error. The timeout of a request
// does not apply.
func (c *Client) Follow(ctx context.Context, filter ListEventsParams) iter.Seq2[FollowedEvent, error] {
	return func(yield func(FollowedEvent, error) bool) {
		query := values(filter)
		at := query.Get("after")
		query.Del("after")
		query.Del("limit")
		if at == "now" { // else what comes before the first event is lost with a connection
			var err error
			if at, err = c.present(ctx, query); err != nil {
				yield(FollowedEvent{}, err)
				return
			}
		}
		ended := false
		for !ended {
			before := at
			_, err := c.repeated(ctx, true, func() ([]byte, error) {
				return nil, c.followOnce(ctx, query, &at, func(e FollowedEvent) bool {
					ended = !yield(e, nil)
					return !ended
				})
			})
			if ended {
				return
			}
			if err == nil && at == before { // it has ended at once, as where the API is about to stop
				pause(ctx, reconnect)
			}
			if err != nil && at == before || ctx.Err() != nil {
				yield(FollowedEvent{}, errors.Join(err, ctx.Err()))
				return
			}
		}
	}
}

// present is the cursor of now.
func (c *Client) present(ctx context.Context, query url.Values) (string, error) {
	asked := url.Values{"after": {"now"}}
	maps.Copy(asked, query)
	var page EventPage
	err := c.Do(ctx, Request{Path: "/events", Query: asked}, &page)
	return page.Next, err
}

// silence is for how long a stream may say nothing. The API sends a comment every 15 seconds.
const silence = time.Minute

// reconnect is how long to wait before another stream, as the API says in each.
const reconnect = time.Second

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// followOnce reads a stream until it ends, which is no error, or each wants no more.
func (c *Client) followOnce(ctx context.Context, query url.Values, at *string, each func(FollowedEvent) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	quiet := time.AfterFunc(silence, cancel)
	defer quiet.Stop()
	r := Request{Header: http.Header{"Accept": {"text/event-stream"}}}
	if *at != "" {
		r.Header.Set("Last-Event-ID", *at)
	}
	header, err := c.header(ctx, r, http.MethodGet)
	if err != nil {
		return err
	}
	address := c.base + "/api/v1/events/stream?" + query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return fmt.Errorf("make the request: %w", withoutURL(err))
	}
	request.Header = header
	response, err := c.cfg.HTTP.Do(request)
	if err != nil {
		return &lost{withoutURL(err)}
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		if err != nil {
			return &lost{fmt.Errorf("read the answer: %w", err)}
		}
		return refused(response, answer)
	}
	lines := bufio.NewReader(response.Body)
	var e FollowedEvent
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			if err == io.EOF { // the API has ended it
				return nil
			}
			return &lost{fmt.Errorf("read the stream: %w", err)}
		}
		quiet.Reset(silence)
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch string(name) {
		case "id":
			e.Cursor = string(value)
		case "data":
			e.Event = bytes.Clone(value)
		case "":
			if e.Event == nil {
				continue
			}
			if *at = e.Cursor; !each(e) {
				return nil
			}
			e = FollowedEvent{}
		}
	}
}
