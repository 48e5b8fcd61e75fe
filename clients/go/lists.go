package tactus

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"reflect"
	"strings"
	"time"
)

// Schedules are the schedules that a filter chooses, newest first unless it says otherwise. An error ends them.
func (c *Client) Schedules(ctx context.Context, filter ListSchedulesParams) iter.Seq2[Schedule, error] {
	query := values(filter)
	if !query.Has("page_size") {
		query.Set("page_size", "200")
	}
	return paged(query, "page_token", func() ([]Schedule, string, error) {
		var page SchedulePage
		err := c.Do(ctx, Request{Path: "/schedules", Query: query}, &page)
		if page.NextPageToken == nil {
			return page.Schedules, "", err
		}
		return page.Schedules, *page.NextPageToken, err
	})
}

// Runs are the runs of all schedules that a filter chooses, newest first. An error ends them.
func (c *Client) Runs(ctx context.Context, filter ListRunsParams) iter.Seq2[RunEntry, error] {
	query := values(filter)
	if !query.Has("page_size") {
		query.Set("page_size", "200")
	}
	return paged(query, "page_token", func() ([]RunEntry, string, error) {
		var page RunPage
		err := c.Do(ctx, Request{Path: "/runs", Query: query}, &page)
		return page.Runs, page.NextPageToken, err
	})
}

// Events are the pages of the log behind filter.After, up to what is there now, oldest first. Next of a page is the
// cursor behind its events, which are CloudEvents. An error ends them.
func (c *Client) Events(ctx context.Context, filter ListEventsParams) iter.Seq2[EventPage, error] {
	query := values(filter)
	return paged(query, "after", func() ([]EventPage, string, error) {
		var page EventPage
		err := c.Do(ctx, Request{Path: "/events", Query: query}, &page)
		if !page.More {
			return []EventPage{page}, "", err
		}
		return []EventPage{page}, page.Next, err
	})
}

// paged yields what each page has. A page may be empty before the end.
func paged[T any](query url.Values, cursor string, page func() ([]T, string, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		from := query.Get(cursor)
		defer query.Set(cursor, from) // for whoever ranges over it again
		for {
			found, next, err := page()
			if err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, one := range found {
				if !yield(one, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			query.Set(cursor, next)
		}
	}
}

// values are the parameters that are set, by the names that their tags give them. Headers have no such tag.
func values(params any) url.Values {
	query := url.Values{}
	of := reflect.ValueOf(params)
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Type().Field(i).Tag.Get("form"), ",")
		field := of.Field(i)
		if name == "" || field.IsNil() {
			continue
		}
		for field.Kind() == reflect.Pointer {
			field = field.Elem()
		}
		if field.Kind() != reflect.Slice {
			query.Add(name, text(field))
			continue
		}
		for j := range field.Len() {
			query.Add(name, text(field.Index(j)))
		}
	}
	return query
}

func text(of reflect.Value) string {
	if at, ok := of.Interface().(time.Time); ok {
		return at.Format(time.RFC3339Nano)
	}
	return fmt.Sprint(of.Interface())
}
