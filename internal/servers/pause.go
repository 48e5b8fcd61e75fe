package servers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Pause suspends the process until Resume. The signal takes effect only later, so Pause returns when no thread of the
// process runs any more.
func (c *Child) Pause() error {
	if err := c.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for deadline := time.Now().Add(pauseTimeout); ; time.Sleep(time.Millisecond) {
		stopped, err := isStopped(c.PID())
		if err != nil || stopped {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("pause %d: the process still runs after %s", c.PID(), pauseTimeout)
		}
	}
}

const pauseTimeout = 30 * time.Second

// Resume continues a suspended process.
func (c *Child) Resume() error { return c.Signal(syscall.SIGCONT) }

// isStopped reports whether every thread of a process is stopped.
func isStopped(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(threads) == 0 {
		state, err := exec.Command("ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output() // there is no /proc
		return bytes.HasPrefix(bytes.TrimSpace(state), []byte("T")), err
	}
	for _, thread := range threads {
		line, err := os.ReadFile(thread)
		if errors.Is(err, os.ErrNotExist) {
			continue // the thread has ended
		}
		if err != nil {
			return false, err
		}
		_, state, _ := bytes.Cut(line, []byte(") ")) // after the program's name
		if !bytes.HasPrefix(state, []byte("T")) {
			return false, nil
		}
	}
	return true, nil
}
