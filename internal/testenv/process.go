package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/servers"
)

// Program is tactus as a process of its own.
type Program struct {
	Tags string   // build tags, comma-separated
	Path string   // of another program, such as an earlier release
	Env  []string // NAME=value; what the test process has of tactus' own settings is not handed on
	Dir  string   // working folder; the test's unless set
}

// Process is a running tactus. It ends with its test, by SIGKILL when it still runs then.
type Process struct {
	t     testing.TB
	child *servers.Child
	log   *processLog
}

// Said is what a command answered.
type Said struct {
	Code          int
	Out, Problems string
}

// Run builds tactus once and runs a command of it.
func Run(t testing.TB, args ...string) (s Said) {
	t.Helper()
	cmd := Program{}.command(t, args)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			t.Fatalf("run tactus: %v", err)
		}
		s.Code = exit.ExitCode()
	}
	s.Out, s.Problems = out.String(), problems.String()
	return s
}

func (p Program) command(t testing.TB, args []string) *exec.Cmd {
	t.Helper()
	path := p.Path
	if path == "" {
		path = Binary(t, p.Tags)
	}
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Dir = append(append(foreign(os.Environ()), "TACTUS_DRAIN=0s"), p.Env...), p.Dir // no balancer waits
	return cmd
}

// Start builds tactus once and starts it. Give "--http-addr", "127.0.0.1:0" to what serves: URL tells where it listens.
func (p Program) Start(t testing.TB, args ...string) *Process {
	t.Helper()
	cmd := p.command(t, args)
	log := &processLog{also: t.Output()}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 10 * time.Second // for what a child of its own may still hold open
	child, err := servers.Launch(cmd)
	if err != nil {
		t.Fatalf("start tactus: %v", err)
	}
	t.Cleanup(func() {
		if err := child.Kill(); err != nil {
			t.Errorf("kill tactus: %v", err)
		}
	})
	return &Process{t: t, child: child, log: log}
}

// foreign leaves out the variables that tactus reads: a test says which it wants.
func foreign(environ []string) (kept []string) {
	for _, v := range environ {
		if !settings.MatchString(v) {
			kept = append(kept, v)
		}
	}
	return kept
}

var settings = regexp.MustCompile(`^(TACTUS_|CELERY_|OTEL_|DATABASE_URL=|REDIS_URL=|PG[A-Z]+=)`)

// processLog is what a process has written.
type processLog struct {
	mu   sync.Mutex
	text bytes.Buffer
	also io.Writer
}

func (l *processLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	return l.also.Write(b)
}

// Log is all that the process has written until now.
func (p *Process) Log() string {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	return p.log.text.String()
}

// AwaitLog waits until the process has written something that matches, and returns the match with its groups.
func (p *Process) AwaitLog(pattern string) []string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found []string
	p.await("a line that matches "+pattern, func() error {
		if found = re.FindStringSubmatch(p.Log()); found == nil {
			return errors.New("it is not in the log")
		}
		return nil
	})
	return found
}

// URL is where the process listens, as it told its log.
func (p *Process) URL() string {
	p.t.Helper()
	return p.AwaitLog(`started"? http=(\S+)`)[1]
}

// AwaitReady waits until the process is ready.
func (p *Process) AwaitReady() {
	p.t.Helper()
	p.await("ready", p.ready)
}

// IsReady reports whether the process says that it is ready.
func (p *Process) IsReady() bool { return p.ready() == nil }

// ready returns nil if /readyz says so.
func (p *Process) ready() error {
	response, err := http.Get(p.URL() + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("%s: %s", response.Status, body), err)
	}
	return nil
}

// await waits for a condition, and gives up when the process ends before it holds.
func (p *Process) await(what string, condition func() error) {
	p.t.Helper()
	ended := false
	Eventually(p.t, what, func() error {
		if ended {
			p.t.Fatalf("tactus ended with %d before it was %s; its log: %s", p.child.ExitCode(), what, p.Log())
		}
		ended = p.child.HasEnded() // and the condition is asked once more, because it may just have come true
		return condition()
	})
}

// PID is the process id.
func (p *Process) PID() int { return p.child.PID() }

// Peak is the most memory that the process has taken until now, resident, in KiB; 0 where the system does not tell.
func (p *Process) Peak() int {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if runtime.GOOS != "linux" {
		return 0
	}
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if err != nil || found == nil {
		p.t.Fatalf("no peak of process %d: %v in %q", p.PID(), err, text)
	}
	peak, err := strconv.Atoi(string(found[1]))
	p.do("read the peak of", err)
	return peak
}

// Kill ends the process as a crash does.
func (p *Process) Kill() { p.do("kill", p.child.Kill()) }

// Pause stops the process in whatever it is doing (SIGSTOP), until Resume.
func (p *Process) Pause() { p.do("pause", p.child.Pause()) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.do("resume", p.child.Resume()) }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { p.do("signal", p.child.Signal(s)) }

// Stop asks the process to end (SIGTERM) and returns its exit code.
func (p *Process) Stop() int {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
	return p.Wait()
}

// Wait waits until the process has ended by itself, and returns its exit code; -1 when a signal ended it.
func (p *Process) Wait() int {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), Patience)
	defer cancel()
	select {
	case <-p.child.Ended():
	case <-ctx.Done():
		p.t.Fatalf("tactus does not end: %v; its log: %s", ctx.Err(), strings.TrimSpace(p.Log()))
	}
	return p.child.ExitCode()
}

// HasEnded reports whether the process has ended.
func (p *Process) HasEnded() bool { return p.child.HasEnded() }

func (p *Process) do(what string, err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("%s tactus: %v", what, err)
	}
}
