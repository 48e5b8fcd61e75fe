package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
)

// CeleryPython returns a Python that can import Celery and its Redis transport.
func CeleryPython(ctx context.Context, cfg Config) (Python, error) {
	return FindPython(ctx, cfg, []string{"celery", "redis"}, "python3-celery", "python3-redis")
}

// CeleryConfig configures a Celery worker. Of Config it uses Dir, Log and IgnoreInstalled.
type CeleryConfig struct {
	Config
	App           string   // Python source of the module app, which makes the Celery application
	BrokerURL     string   // the broker that the worker reads from
	ResultBackend string   // the broker if empty
	Name          string   // the part of the node name before the @; "celery" if empty
	Queues        []string // the application's if empty
	Concurrency   int      // processes of the pool; 1 if zero
	Args          []string // more arguments of celery worker: "--events", "--pool=solo"
	Beat          bool     // run Celery's beat instead of a worker
}

// Celery is a Celery worker that we run. On Linux the processes of its pool end with the worker, however the worker
// ends.
type Celery struct {
	cfg    CeleryConfig
	python Python
	dir    string // the application's folder
	child  *Child
}

// StartCelery writes the application to cfg.Dir and starts a worker. It returns when the worker takes messages.
func StartCelery(ctx context.Context, cfg CeleryConfig) (*Celery, error) {
	python, err := CeleryPython(ctx, cfg.Config)
	if err != nil {
		return nil, err
	}
	c := &Celery{cfg: cfg, python: python}
	return c, c.Start(ctx)
}

// ready is what a worker logs when it has begun to consume, and a beat when it has begun.
var ready = regexp.MustCompile(`@\S+ ready\.|beat: Starting\.\.\.`)

// Start starts the worker again after Stop or Kill.
func (c *Celery) Start(ctx context.Context) error {
	log, err := c.cfg.openLog("celery.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has a descriptor of its own
	if c.dir, err = c.cfg.dataDir(); err != nil {
		return err
	}
	if err := hand(filepath.Join(c.dir, "app.py"), c.cfg.App); err != nil {
		return fmt.Errorf("write the application: %w", err)
	}
	before, err := log.Stat()
	if err != nil {
		return fmt.Errorf("start Celery: %w", err)
	}
	python := c.python.binary
	python.env = append(python.env, c.environment()...)
	if c.child, err = start(python, log, c.command()...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := c.child.await(ctx, func(context.Context) error { return c.isReady(before.Size()) }); err != nil {
		return errors.Join(fmt.Errorf("start Celery: %w; its log: %s", err, tail(c.LogFile())), c.child.Kill())
	}
	return nil
}

func (c *Celery) environment() []string {
	modules := c.dir
	if c.python.modules != "" {
		modules += string(os.PathListSeparator) + c.python.modules
	}
	results := c.cfg.ResultBackend
	if results == "" {
		results = c.cfg.BrokerURL
	}
	return []string{
		"PYTHONPATH=" + modules, "CELERY_BROKER_URL=" + c.cfg.BrokerURL, "CELERY_RESULT_BACKEND=" + results,
		// Python would use old byte code for a new application that was written in the same second and has the same
		// size.
		"PYTHONDONTWRITEBYTECODE=1",
	}
}

// command returns the worker's command, without the greeting between workers, which takes a second at each start.
func (c *Celery) command() []string {
	if c.cfg.Beat {
		return append([]string{
			"-m", "celery", "-A", "app", "beat", "--loglevel", "INFO", "--pidfile=",
			"--schedule", filepath.Join(c.dir, "beat-schedule"),
		}, c.cfg.Args...)
	}
	name := c.cfg.Name
	if name == "" {
		name = "celery"
	}
	args := []string{
		"-m", "celery", "-A", "app", "worker", "--loglevel", "INFO", "--without-mingle", "--without-gossip",
		"--hostname", name + "@%h", "--concurrency", strconv.Itoa(max(1, c.cfg.Concurrency)),
	}
	if len(c.cfg.Queues) > 0 {
		args = append(args, "--queues", strings.Join(c.cfg.Queues, ","))
	}
	return append(args, c.cfg.Args...)
}

// isReady looks for the ready line in the part of the log that this start has written.
func (c *Celery) isReady(from int64) error {
	text, err := os.ReadFile(c.LogFile())
	if err != nil {
		return err
	}
	if int64(len(text)) < from || !ready.Match(text[from:]) {
		return errors.New("the worker has not logged that it is ready")
	}
	return nil
}

// LogFile returns the path of the worker's log, which has level INFO.
func (c *Celery) LogFile() string { return filepath.Join(c.cfg.Dir, "celery.log") }

// PID returns the process id of the worker itself.
func (c *Celery) PID() int { return c.child.PID() }

// Ended returns a channel that is closed when the worker has ended.
func (c *Celery) Ended() <-chan struct{} { return c.child.Ended() }

// Stop ends the worker after the tasks in progress.
func (c *Celery) Stop(ctx context.Context) error { return c.child.Stop(ctx, syscall.SIGTERM) }

// Kill kills the worker, in the middle of its tasks.
func (c *Celery) Kill() error { return c.child.Kill() }
