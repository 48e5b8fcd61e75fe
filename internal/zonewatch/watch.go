// Package zonewatch reports when the processes of an installation use different releases of the time zone data, and
// which due times a newer release has moved.
package zonewatch

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/wait"
)

// Watch does this in one process.
type Watch struct {
	pool     *pgxpool.Pool
	process  string
	version  string
	log      *slog.Logger
	told     string // the last message, which is not logged again
	versions prometheus.Gauge
	moved    prometheus.Counter
	passed   int // steps since the last comparison of zones
}

// New returns the watch of a process with the given name and release.
func New(pool *pgxpool.Pool, process string, log *slog.Logger) *Watch {
	return &Watch{
		pool: pool, process: process, version: zone.Version(), log: log,
		versions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "tactus_zone_data_versions", Help: "Releases of the time zone data by which the processes of this installation go: 1 when they agree",
		}),
		moved: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "tactus_zone_data_moved_schedules_total", Help: "Schedules whose next due time a newer release of the time zone data has moved",
		}),
	}
}

// Register registers the metrics.
func (w *Watch) Register(to prometheus.Registerer) error {
	if err := to.Register(w.versions); err != nil {
		return err
	}
	return to.Register(w.moved)
}

const every = time.Minute

// compareEvery is after how many steps the zones are compared again. A process goes by one release for as long as it
// lives, so the first step tells what that moves. Later ones only note the zones that have come into use, and read all
// schedules for that.
const compareEvery = 60

// Run calls Step regularly until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	for {
		if err := w.Step(ctx); err != nil && ctx.Err() == nil {
			w.tell(slog.LevelWarn, "time zone data cannot be compared", "err", err)
		}
		if wait.For(ctx, every) != nil {
			return nil
		}
	}
}

// Step records this process's release, compares it with the others', and from time to time compares the zones.
func (w *Watch) Step(ctx context.Context) error {
	processes, err := w.report(ctx)
	if err != nil {
		return fmt.Errorf("report the release: %w", err)
	}
	releases := map[string]bool{}
	for _, p := range processes {
		releases[p.Version] = true
	}
	w.versions.Set(float64(len(releases)))
	if len(releases) > 1 {
		w.tell(slog.LevelError, "processes go by different time zone data: update those with the older, or give all the same ZONEINFO",
			"processes", Describe(processes))
	} else {
		w.told = ""
	}
	if w.passed > 0 && w.passed < compareEvery {
		w.passed++
		return nil
	}
	if err := w.compare(ctx); err != nil {
		return err
	}
	w.passed = 1
	return nil
}

// tell logs a message unless it was the last one.
func (w *Watch) tell(level slog.Level, message string, args ...any) {
	if text := fmt.Sprint(message, args); text != w.told {
		w.told = text
		w.log.Log(context.Background(), level, message, args...)
	}
}

// Process is a process that was alive within the last minutes.
type Process struct{ Process, Version string }

// Describe lists processes by release, the oldest release first.
func Describe(processes []Process) string {
	texts := make([]string, len(processes))
	for i, p := range processes {
		texts[i] = p.Version + " " + p.Process
	}
	slices.Sort(texts)
	return strings.Join(texts, ", ")
}

const reportRelease = `
with gone as (delete from tactus.zone_processes where seen_at < clock_timestamp() - make_interval(mins => 10) and process <> @process)
insert into tactus.zone_processes as p (process, version, seen_at) values (@process, @version, clock_timestamp())
on conflict on constraint zone_processes_pkey do update set version = excluded.version, seen_at = excluded.seen_at`

func (w *Watch) report(ctx context.Context) ([]Process, error) {
	if _, err := w.pool.Exec(ctx, reportRelease,
		pgx.NamedArgs{"process": w.process, "version": w.version}); err != nil {
		return nil, err
	}
	return Processes(ctx, w.pool)
}

const readProcesses = `
select process, version from tactus.zone_processes where seen_at > clock_timestamp() - make_interval(mins => 3) order by version, process`

// Processes returns the processes that are alive.
func Processes(ctx context.Context, pool *pgxpool.Pool) ([]Process, error) {
	rows, err := pool.Query(ctx, readProcesses)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Process])
}
