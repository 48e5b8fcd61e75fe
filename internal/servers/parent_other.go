//go:build unix && !linux

package servers

import (
	"fmt"
	"os/exec"
)

func dieWithParent(*exec.Cmd) {}

// watch runs a shell that kills pid when the pipe to the shell breaks. The system closes the pipe when this process
// ends.
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
		// pid has ended and may belong to another process by now, so the shell must be gone before the pipe breaks.
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = held.Close()
	}
}
