package importer

import (
	"cmp"
	"context"

	"github.com/tactus-dev/tactus/outbox"
)

// Destinations fills in where the tasks of a plan go: as their schedules say, by a route, or to the default queue.
func (i *Importer) Destinations(ctx context.Context, rows []Row, defaultQueue string) error {
	var tasks []string
	for _, r := range rows {
		tasks = append(tasks, r.definition.TaskName)
	}
	routes, err := outbox.RoutesOf(ctx, i.pool, tasks)
	if err != nil {
		return err
	}
	for n := range rows {
		r := &rows[n]
		if r.definition.TaskName == "" {
			continue // it is refused or gone
		}
		own := r.definition.Task()
		routed := routes[own.TaskName].Apply(own)
		switch {
		case own.Stream != "":
			r.Queue, r.QueueBy = own.Stream, "stream"
			continue
		case !routed.Through() && routed.Queue == "":
			r.QueueBy = "default"
		case routed.Queue != own.Queue || routed.Through() != own.Through():
			r.QueueBy = "route"
		default:
			r.QueueBy = "schedule"
		}
		if r.Queue = cmp.Or(routed.Queue, defaultQueue); routed.Through() {
			r.Queue = routed.Exchange + "/" + routed.RoutingKey
		}
	}
	return nil
}
