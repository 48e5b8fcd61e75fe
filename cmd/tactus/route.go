package main

import (
	"context"
	"net/http"
	"net/url"

	"github.com/tactus-dev/tactus/domain"
)

// routeCmd speaks to the API. Routes of an application come by import routes.
type routeCmd struct {
	List   routeListCmd   `cmd:"" help:"List routes, by their patterns."`
	Set    routeSetCmd    `cmd:"" help:"Set the route of a task, or of all whose names match."`
	Delete routeDeleteCmd `cmd:"" help:"Take a route away."`
}

type routeListCmd struct{ clientFlags }

// Run lists.
func (c routeListCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodGet, "/routes", nil)
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type routeSetCmd struct {
	clientFlags
	Pattern              string `arg:"" help:"The name of a task, or a pattern: * is any text, ? any character."`
	Queue                string `help:"The queue."`
	Exchange             string `help:"The exchange, with a routing key."`
	RoutingKey           string `help:"The routing key, with an exchange."`
	Priority             *int   `help:"0 to 255; on Redis 0 is the highest."`
	ExpiresSeconds       int64  `name:"expires" help:"Seconds after which a worker does not run it any more."`
	TimeLimitSeconds     int64  `name:"time-limit" help:"Seconds after which it is killed."`
	SoftTimeLimitSeconds int64  `name:"soft-time-limit" help:"Seconds after which it is told to end."`
	IgnoreResult         bool   `help:"Its result is not kept."`
}

// Run sets.
func (c routeSetCmd) Run(ctx context.Context, to console) error {
	answer, err := c.call(ctx, http.MethodPut, "/routes/"+url.PathEscape(c.Pattern), domain.Route{
		Queue: c.Queue, Exchange: c.Exchange, RoutingKey: c.RoutingKey, Priority: c.Priority, ExpiresSeconds: c.ExpiresSeconds,
		TimeLimitSeconds: c.TimeLimitSeconds, SoftTimeLimitSeconds: c.SoftTimeLimitSeconds, IgnoreResult: c.IgnoreResult,
	})
	if err != nil {
		return err
	}
	return c.show(to.out, answer)
}

type routeDeleteCmd struct {
	clientFlags
	Pattern string `arg:"" help:"Its pattern."`
}

// Run deletes.
func (c routeDeleteCmd) Run(ctx context.Context, _ console) error {
	_, err := c.call(ctx, http.MethodDelete, "/routes/"+url.PathEscape(c.Pattern), nil)
	return err
}
