package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Child is a process that ends when this process ends.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// start runs a program, with its output in the log. As root, the program runs as the unprivileged user.
func start(program binary, log io.Writer, args ...string) (*Child, error) {
	cmd := program.command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = log, log
	return Launch(cmd)
}

// Launch starts a command that ends when this process ends, even when this process is killed.
func Launch(cmd *exec.Cmd) (*Child, error) {
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel's parent-death signal follows the thread that started the child: it must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		dieWithParent(c.cmd)
		if err := c.cmd.Start(); err != nil {
			started <- err
			return
		}
		release := watch(c.cmd.Process.Pid)
		started <- nil
		_ = c.cmd.Wait() // the reason is in its log; closing done tells that it has ended
		release()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return c, nil
}

// PID returns the process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Signal sends a signal. It does nothing when the process has ended.
func (c *Child) Signal(s syscall.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %d: %w", c.PID(), err)
	}
	return nil
}

// Ended returns a channel that is closed when the process has ended.
func (c *Child) Ended() <-chan struct{} { return c.done }

// HasEnded reports whether the process has ended.
func (c *Child) HasEnded() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// ExitCode returns the exit code: -1 when a signal has ended the process, or while it runs.
func (c *Child) ExitCode() int {
	if !c.HasEnded() {
		return -1
	}
	return c.cmd.ProcessState.ExitCode()
}

// Stop sends a signal, and kills the process if it has not ended when ctx ends.
func (c *Child) Stop(ctx context.Context, s syscall.Signal) error {
	if err := c.Signal(s); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.Kill())
	}
}

// Kill kills the process.
func (c *Child) Kill() error {
	if err := c.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return nil
}

// await polls until ready returns nil, the child ends, or the time is up.
func (c *Child) await(ctx context.Context, ready func(context.Context) error) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := ready(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-c.done:
			return fmt.Errorf("the process ended while starting: %w", err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}
