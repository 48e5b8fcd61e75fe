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

// child is a process that ends with ours.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// start runs a program. Its output goes to the log, and its user is the unprivileged one when we are root.
func start(program binary, log io.Writer, args ...string) (*child, error) {
	c := &child{done: make(chan struct{})}
	c.cmd = program.command(context.Background(), args...)
	c.cmd.Stdout, c.cmd.Stderr = log, log
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
		_ = c.cmd.Wait() // how it ended is in its log; whoever waits sees that it did
		release()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", program.path, err)
	}
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

func (c *child) signal(s syscall.Signal) error {
	if err := c.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %d: %w", c.pid(), err)
	}
	return nil
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// stop asks with a signal, and kills when the context ends before the process does.
func (c *child) stop(ctx context.Context, s syscall.Signal) error {
	if err := c.signal(s); err != nil {
		return err
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.kill())
	}
}

func (c *child) kill() error {
	if err := c.signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-c.done
	return nil
}

// await polls until ready gives no error, the child ends, or the time is up.
func (c *child) await(ctx context.Context, ready func(context.Context) error) error {
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
			return fmt.Errorf("it ended while starting: %w", err)
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}
