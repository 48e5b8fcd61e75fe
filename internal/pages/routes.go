package pages

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/importer"
	"github.com/tactus-dev/tactus/outbox"
)

// Moved returns which stored schedules would be sent elsewhere if a pattern got this route, or lost its route (nil).
type Moved func(ctx context.Context, pattern string, route *domain.Route) (importer.Moves, error)

// routesData answers: where do tasks go whose schedules do not name a queue?
type routesData struct {
	Routes     []routeLine
	Total      int64
	Page       int
	Prev, Next string
	May        bool
}

type routeLine struct {
	outbox.KeptRoute
	Address string
	Says    []fact
}

// routeData is the form of a route.
type routeData struct {
	Pattern string // the pattern of an existing route; empty for a new one
	Typed   url.Values
	Faults  map[string][]string
	Others  []string
	Moves   *importer.Moves // what would be sent elsewhere, which the user has to confirm
	Gone    bool            // the confirmation is about deleting the route
}

// routeFields are the fields of the form, in its order.
var routeFields = []input{
	field("queue", "queue").like("celery"), field("exchange", "exchange"), field("routing key", "routing_key"), field("priority", "priority").as("number"),
	field("expires after seconds", "expires_seconds").as("number"), field("time limit, in seconds", "time_limit_seconds").as("number"),
	field("soft time limit, in seconds", "soft_time_limit_seconds").as("number"), field("workers keep no result", "ignore_result").as("tick"),
}

// Fields returns the fields of the form.
func (routeData) Fields() []input { return routeFields }

var (
	// mayReadRoutes is the permit for seeing routes. Where tasks go is no secret, so scopes do not matter.
	mayReadRoutes = mayRead
	// mayRoute is the permit for changing routes, which concern all tasks of a name.
	mayRoute = access.Permit{Role: access.Write}
)

func (s *site) routes() {
	s.getAs(mayReadRoutes, "/system/routes", func(v *view) (string, any, error) {
		page, _ := strconv.Atoi(v.r.URL.Query().Get("page")) // otherwise 0: the first
		d := routesData{Page: min(max(page, 1), 1_000), May: mayRoute.Demand(v.ctx()) == nil}
		found, total, err := v.Store.PageOfRoutes(v.ctx(), perPage, (d.Page-1)*perPage)
		if err != nil {
			return "", nil, err
		}
		for _, r := range found {
			d.Routes = append(d.Routes, routeLine{r, "/system/routes/edit?" + url.Values{"pattern": {r.Pattern}}.Encode(), v.routeSays(r.Route)})
		}
		if d.Total = total; d.Page > 1 {
			d.Prev = "/system/routes?page=" + strconv.Itoa(d.Page-1)
		}
		if int64(d.Page)*perPage < total {
			d.Next = "/system/routes?page=" + strconv.Itoa(d.Page+1)
		}
		return "routes", d, nil
	})
	s.getAs(mayRoute, "/system/routes/edit", func(v *view) (string, any, error) {
		d := routeData{Pattern: v.r.URL.Query().Get("pattern"), Typed: url.Values{}}
		if d.Pattern == "" {
			return "route", d, nil
		}
		kept, err := v.routeOf(d.Pattern)
		d.Typed = routeForm(kept)
		return "route", d, err
	})
	s.postAs(mayRoute, "/system/routes/edit", s.saveRoute)
	s.postAs(mayRoute, "/system/routes/delete", s.deleteRoute)
}

// routeOf returns the route of a pattern. It reads all routes, because there are few.
func (v *view) routeOf(pattern string) (domain.Route, error) {
	all, _, err := v.Store.PageOfRoutes(v.ctx(), mostRoutes, 0)
	for _, r := range all {
		if r.Pattern == pattern {
			return r.Route, nil
		}
	}
	return domain.Route{}, cmp.Or(err, error(domain.ErrRouteNotFound))
}

// mostRoutes is the greatest number of routes.
const mostRoutes = 10_000

// routeSays lists the options that a route sets.
func (v *view) routeSays(r domain.Route) (all []fact) {
	typed := routeForm(r)
	for _, i := range routeFields {
		if value := typed.Get(i.Name); value != "" {
			if i.Kind == "tick" {
				value = v.T("yes")
			}
			all = append(all, fact{v.T(i.Label), value})
		}
	}
	return all
}

func routeForm(r domain.Route) url.Values {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			values.Set(name, value)
		}
	}
	set("queue", r.Queue)
	set("exchange", r.Exchange)
	set("routing_key", r.RoutingKey)
	if r.Priority != nil {
		values.Set("priority", strconv.Itoa(*r.Priority))
	}
	set("expires_seconds", strconv.FormatInt(r.ExpiresSeconds, 10))
	set("time_limit_seconds", strconv.FormatInt(r.TimeLimitSeconds, 10))
	set("soft_time_limit_seconds", strconv.FormatInt(r.SoftTimeLimitSeconds, 10))
	if r.IgnoreResult {
		values.Set("ignore_result", "on")
	}
	return values
}

// typedRoute returns the route that was typed into a form.
func (v *view) typedRoute() (r domain.Route, err error) {
	var faults domain.Faults
	text := func(name string) string { return strings.TrimSpace(v.r.PostFormValue(name)) }
	number := func(name string) (n int64) {
		if text(name) == "" {
			return 0
		}
		n, err := strconv.ParseInt(text(name), 10, 64)
		if err != nil {
			faults = append(faults, &domain.Error{Kind: domain.Invalid, Code: "type_invalid", Field: "/" + name, Message: v.T("want a number")})
		}
		return n
	}
	r = domain.Route{
		Pattern: text("pattern"), Queue: text("queue"), Exchange: text("exchange"), RoutingKey: text("routing_key"), IgnoreResult: text("ignore_result") != "",
		ExpiresSeconds: number("expires_seconds"), TimeLimitSeconds: number("time_limit_seconds"), SoftTimeLimitSeconds: number("soft_time_limit_seconds"),
	}
	if text("priority") != "" {
		priority := int(number("priority"))
		r.Priority = &priority
	}
	if len(faults) > 0 {
		return r, domain.Join(faults, r.Check(v.Check))
	}
	return r, v.Store.CheckRoute(v.ctx(), r)
}

// saveRoute saves a route. If stored schedules would be sent elsewhere, it asks for confirmation first.
func (s *site) saveRoute(v *view) error {
	r, err := v.typedRoute()
	if err != nil {
		return v.routeRefused(err)
	}
	moves, err := v.moves(r.Pattern, &r)
	if err != nil {
		return err
	}
	if moves != nil {
		v.showRoute(http.StatusOK, routeData{Pattern: v.r.PostFormValue("was"), Typed: v.r.PostForm, Moves: moves})
		return nil
	}
	if err := v.Store.PutRoute(v.because(v.r.PostFormValue("why")), r, nil); err != nil {
		return v.routeRefused(err)
	}
	return v.redirect("/system/routes")
}

func (s *site) deleteRoute(v *view) error {
	pattern := v.r.PostFormValue("pattern")
	if err := v.Store.HasRoute(v.ctx(), pattern); err != nil {
		return err
	}
	moves, err := v.moves(pattern, nil)
	if err != nil {
		return err
	}
	if moves != nil {
		kept, err := v.routeOf(pattern)
		if err != nil {
			return err
		}
		v.showRoute(http.StatusOK, routeData{Pattern: pattern, Typed: routeForm(kept), Moves: moves, Gone: true})
		return nil
	}
	if err := v.Store.DeleteRoute(v.because(v.r.PostFormValue("why")), pattern); err != nil {
		return err
	}
	return v.redirect("/system/routes")
}

// moves returns what would be sent elsewhere. It returns nil if nothing would, or if the user has confirmed it.
func (v *view) moves(pattern string, r *domain.Route) (*importer.Moves, error) {
	if v.r.PostFormValue("sure") != "" || v.Moved == nil {
		return nil, nil
	}
	moves, err := v.Moved(v.ctx(), pattern, r)
	if err != nil {
		return nil, fmt.Errorf("look what a route moves: %w", err)
	}
	if len(moves.Moves) == 0 && !moves.Cut {
		return nil, nil
	}
	return &moves, nil
}

func (v *view) showRoute(status int, d routeData) {
	v.self = "/system/routes"
	v.render(status, "route", d)
}

func (v *view) routeRefused(err error) error {
	faults := domain.FaultsOf(err)
	if faults == nil {
		return err
	}
	d := routeData{Pattern: v.r.PostFormValue("was"), Typed: v.r.PostForm, Faults: map[string][]string{}}
	for _, f := range faults {
		name := strings.TrimPrefix(f.Field, "/")
		known := name == "pattern"
		for _, i := range routeFields {
			known = known || i.Name == name
		}
		if known {
			d.Faults[name] = append(d.Faults[name], f.Message)
		} else {
			d.Others = append(d.Others, f.Message)
		}
	}
	v.showRoute(statuses[faults[0].Kind], d)
	return nil
}
