package main

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tactus-dev/tactus/domain"
)

// routeCmd calls the API. Routes of an application come in by import routes.
type routeCmd struct {
	List   routeListCmd   `cmd:"" help:"List the routes, ordered by pattern."`
	Set    routeSetCmd    `cmd:"" help:"Set the route of a task, or of all tasks whose names match a pattern. There can be 10,000 routes, 1,000 of them patterns."`
	Delete routeDeleteCmd `cmd:"" help:"Delete a route."`
}

type routeListCmd struct {
	clientFlags
	Page    int `default:"1" help:"Page, from 1 on."`
	PerPage int `default:"50" help:"Routes on a page, at most 1000."`
}

// Run lists routes.
func (c routeListCmd) Run(ctx context.Context, to console) error {
	query := url.Values{"page": {strconv.Itoa(c.Page)}, "per_page": {strconv.Itoa(c.PerPage)}}
	answer, err := c.call(ctx, http.MethodGet, "/routes?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type routeSetCmd struct {
	clientFlags
	Pattern              string `arg:"" help:"Name of a task, or a pattern: * matches any text, ? any one character."`
	Queue                string `placeholder:"QUEUE" help:"Queue that the tasks go to."`
	Exchange             string `placeholder:"EXCHANGE" help:"Exchange that the tasks go through; it needs a routing key."`
	RoutingKey           string `placeholder:"KEY" help:"Routing key; it needs an exchange."`
	Priority             *int   `placeholder:"NUMBER" help:"Priority, 0 to 255; on Redis 0 is the highest."`
	ExpiresSeconds       int64  `name:"expires" placeholder:"SECONDS" help:"Seconds after which workers no longer start the task."`
	TimeLimitSeconds     int64  `name:"time-limit" placeholder:"SECONDS" help:"Seconds after which the worker kills the task."`
	SoftTimeLimitSeconds int64  `name:"soft-time-limit" placeholder:"SECONDS" help:"Seconds after which the worker asks the task to end."`
	IgnoreResult         bool   `help:"Do not keep the task's result."`
}

// Run sets a route.
func (c routeSetCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodPut, "/routes/"+url.PathEscape(c.Pattern), domain.Route{
		Queue: c.Queue, Exchange: c.Exchange, RoutingKey: c.RoutingKey, Priority: c.Priority,
		ExpiresSeconds:   c.ExpiresSeconds,
		TimeLimitSeconds: c.TimeLimitSeconds, SoftTimeLimitSeconds: c.SoftTimeLimitSeconds,
		IgnoreResult: c.IgnoreResult,
	})
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type routeDeleteCmd struct {
	clientFlags
	Pattern string `arg:"" help:"Pattern of the route."`
}

// Run deletes a route.
func (c routeDeleteCmd) Run(ctx context.Context, _ console) error {
	_, err := c.call(ctx, http.MethodDelete, "/routes/"+url.PathEscape(c.Pattern), nil)
	return err
}
