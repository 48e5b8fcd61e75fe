//go:build unix && !linux

package servers

import (
	"fmt"
	"os/exec"
)

func dieWithParent(*exec.Cmd) {}

// watch runs a shell that kills pid once the pipe to it breaks, which the system sees to when we die.
func watch(pid int) (release func()) {
	cmd := exec.Command("/bin/sh", "-c", fmt.Sprintf("cat >/dev/null; kill -9 %d", pid))
	held, err := cmd.StdinPipe()
	if err != nil {
		return func() {}
	}
	if err := cmd.Start(); err != nil {
		return func() {}
	}
	return func() {
		// pid has ended and may be another's by now: the shell must not see the pipe break.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = held.Close()
	}
}
