package tactus

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Create creates a schedule.
func (c *Client) Create(ctx context.Context, definition ScheduleDefinition) (s Schedule, err error) {
	err = c.Do(ctx, Request{Method: http.MethodPost, Path: "/schedules", Body: definition}, &s)
	return s, err
}

// Put creates the schedule of a name, or replaces its definition.
func (c *Client) Put(ctx context.Context, name string, definition ScheduleDefinition) (s Schedule, err error) {
	path := "/schedules/by-name/" + url.PathEscape(name)
	err = c.Do(ctx, Request{Method: http.MethodPut, Path: path, Body: definition}, &s)
	return s, err
}

// Get returns the schedule with an id.
func (c *Client) Get(ctx context.Context, id string) (s Schedule, err error) {
	err = c.Do(ctx, Request{Path: schedulePath(id, "")}, &s)
	return s, err
}

// Named returns the schedule of a name. If there is none, the error is ErrNotFound.
func (c *Client) Named(ctx context.Context, name string) (s Schedule, err error) {
	var page SchedulePage
	if err := c.Do(ctx, Request{Path: "/schedules", Query: url.Values{"name": {name}}}, &page); err != nil {
		return s, err
	}
	if len(page.Schedules) == 0 {
		return s, &Error{Problem: Problem{Status: http.StatusNotFound, Code: string(ErrNotFound), Errors: []Fault{
			{Code: string(ErrNotFound), Location: "name", Message: "there is no schedule named " + strconv.Quote(name)},
		}}}
	}
	return page.Schedules[0], nil
}

// Patch changes the given members of a schedule (RFC 7396): nil puts a member back to its default. If version is not
// 0 and the schedule is at another one, nothing is changed, and the error is ErrVersionConflict.
func (c *Client) Patch(ctx context.Context, id string, version int64, members map[string]any) (s Schedule, err error) {
	r := Request{Method: http.MethodPatch, Path: schedulePath(id, ""), Body: members, Header: http.Header{}}
	if version != 0 {
		r.Header.Set("If-Match", strconv.Quote(strconv.FormatInt(version, 10)))
	}
	err = c.Do(ctx, r, &s)
	return s, err
}

// Delete deletes a schedule.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.Do(ctx, Request{Method: http.MethodDelete, Path: schedulePath(id, "")}, nil)
}

// Enable has a schedule fire from now on.
func (c *Client) Enable(ctx context.Context, id string) (s ChangedSchedule, err error) {
	err = c.Do(ctx, Request{Method: http.MethodPost, Path: schedulePath(id, "/enable")}, &s)
	return s, err
}

// Disable keeps a schedule from firing, perhaps for a time.
func (c *Client) Disable(ctx context.Context, id string, pause Pause) (s ChangedSchedule, err error) {
	err = c.Do(ctx, Request{Method: http.MethodPost, Path: schedulePath(id, "/disable"), Body: pause}, &s)
	return s, err
}

// Trigger runs a schedule now, perhaps with other arguments.
func (c *Client) Trigger(ctx context.Context, id string, run ManualRun) (t Triggered, err error) {
	err = c.Do(ctx, Request{Method: http.MethodPost, Path: schedulePath(id, "/trigger"), Body: run}, &t)
	return t, err
}

// Run returns a run with everything that is known about it.
func (c *Client) Run(ctx context.Context, id string) (r RunDetail, err error) {
	err = c.Do(ctx, Request{Path: "/runs/" + url.PathEscape(id)}, &r)
	return r, err
}

// Rerun runs a run again.
func (c *Client) Rerun(ctx context.Context, id string) (r RerunRun, err error) {
	err = c.Do(ctx, Request{Method: http.MethodPost, Path: "/runs/" + url.PathEscape(id) + "/rerun"}, &r)
	return r, err
}

func schedulePath(id, action string) string { return "/schedules/" + url.PathEscape(id) + action }
