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

// CeleryPython is a Python that can import Celery and its Redis transport.
func CeleryPython(ctx context.Context, cfg Config) (Python, error) {
	return FindPython(ctx, cfg, []string{"celery", "redis"}, "python3-celery", "python3-redis")
}

// CeleryConfig is how a Celery worker runs. Of Config it uses Dir, Log and IgnoreInstalled.
type CeleryConfig struct {
	Config
	App           string   // Python source of the module app, which makes the Celery application
	BrokerURL     string   // where messages come from
	ResultBackend string   // the broker unless set
	Name          string   // its node name, before the @; celery unless set
	Queues        []string // those of the application unless set
	Concurrency   int      // processes of the pool; 1 unless set
	Args          []string // more arguments of celery worker: "--events", "--pool=solo"
	Beat          bool     // run Celery's beat, and no worker
}

// Celery is a Celery worker of ours. On Linux its pool ends with it, whatever ends it.
type Celery struct {
	cfg    CeleryConfig
	python Python
	dir    string // of the application
	child  *Child
}

// StartCelery writes the application to cfg.Dir and starts a worker, which takes messages when this returns.
func StartCelery(ctx context.Context, cfg CeleryConfig) (*Celery, error) {
	python, err := CeleryPython(ctx, cfg.Config)
	if err != nil {
		return nil, err
	}
	c := &Celery{cfg: cfg, python: python}
	return c, c.Start(ctx)
}

// ready is what a worker logs when it has begun to consume, and a beat when it begins.
var ready = regexp.MustCompile(`@\S+ ready\.|beat: Starting\.\.\.`)

// Start starts the worker again, after Stop or Kill.
func (c *Celery) Start(ctx context.Context) error {
	log, err := c.cfg.openLog("celery.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
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
		// The byte code of the application would be taken for that of a new one of the same second and size.
		"PYTHONDONTWRITEBYTECODE=1",
	}
}

// command leaves out the greeting among workers, which takes a second at each start.
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

// isReady reads the part of the log that this start has written.
func (c *Celery) isReady(from int64) error {
	text, err := os.ReadFile(c.LogFile())
	if err != nil {
		return err
	}
	if int64(len(text)) < from || !ready.Match(text[from:]) {
		return errors.New("the worker does not say that it is ready")
	}
	return nil
}

// LogFile is where the worker logs, level INFO.
func (c *Celery) LogFile() string { return filepath.Join(c.cfg.Dir, "celery.log") }

// PID is the process id of the worker, not of its pool.
func (c *Celery) PID() int { return c.child.PID() }

// Ended is closed when the worker has ended.
func (c *Celery) Ended() <-chan struct{} { return c.child.Ended() }

// Stop lets the tasks in hand finish.
func (c *Celery) Stop(ctx context.Context) error { return c.child.Stop(ctx, syscall.SIGTERM) }

// Kill crashes the worker in the middle of its tasks.
func (c *Celery) Kill() error { return c.child.Kill() }
