package servers

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
)

// Prometheus is a server that scrapes, and evaluates rules.
type Prometheus struct {
	cfg    Config
	binary binary
	port   int
	child  *Child
}

// StartPrometheus starts a server with a configuration, whose relative paths are those of other files, by name.
func StartPrometheus(ctx context.Context, configuration string, files map[string]string, cfg Config) (
	*Prometheus, error,
) {
	program, err := prometheusProgram.find(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{cfg: cfg, binary: program}
	if _, err := cfg.dataDir(); err != nil {
		return nil, err
	}
	if err := hand(p.config(), configuration); err != nil {
		return nil, fmt.Errorf("configure Prometheus: %w", err)
	}
	if err := cfg.handAll(files); err != nil {
		return nil, err
	}
	return p, cfg.onFreePort(func(listen int) error {
		p.port = listen
		return p.start(ctx)
	})
}

func (c Config) handAll(files map[string]string) error {
	for name, text := range files {
		if err := hand(filepath.Join(c.Dir, name), text); err != nil {
			return fmt.Errorf("configure Prometheus: %w", err)
		}
	}
	return nil
}

func (p *Prometheus) config() string { return filepath.Join(p.cfg.Dir, "prometheus.yaml") }

func (p *Prometheus) start(ctx context.Context) error {
	log, err := p.cfg.openLog("prometheus.log")
	if err != nil {
		return err
	}
	defer log.Close() // the child has a descriptor of its own
	began, err := endOf(log)
	if err != nil {
		return err
	}
	p.child, err = start(p.binary, log,
		"--config.file="+p.config(), "--storage.tsdb.path="+filepath.Join(p.cfg.Dir, "data"),
		fmt.Sprintf("--web.listen-address=127.0.0.1:%d", p.port), "--log.format=logfmt")
	if err != nil {
		return err
	}
	return p.cfg.awaitLogged(ctx, p.child, "Prometheus", "prometheus.log", began,
		fmt.Sprintf("address=127.0.0.1:%d", p.port), p.answers)
}

func (p *Prometheus) answers(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/-/ready", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("it is not ready: %s", response.Status)
	}
	return nil
}

// URL returns where it listens.
func (p *Prometheus) URL() string { return fmt.Sprintf("http://127.0.0.1:%d", p.port) }

// Kill ends the server.
func (p *Prometheus) Kill() error { return p.child.Kill() }

// Promtool runs Prometheus' own tool with an input, on files, in a folder that has them by name, and returns its
// output, also of a failure.
func Promtool(ctx context.Context, cfg Config, input string, files map[string]string, args ...string) (string, error) {
	program, err := prometheusProgram.find(ctx, cfg)
	if err != nil {
		return "", err
	}
	if err := OwnDir(cfg.Dir); err != nil {
		return "", fmt.Errorf("prepare %s: %w", cfg.Dir, err)
	}
	if err := cfg.handAll(files); err != nil {
		return "", err
	}
	command := program.sibling("promtool").command(ctx, args...)
	command.Dir, command.Stdin = cfg.Dir, strings.NewReader(input)
	said, err := command.CombinedOutput()
	return string(said), err
}
