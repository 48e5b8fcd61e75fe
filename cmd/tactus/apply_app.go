package main

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
)

// applicationSource names a Celery application whose tasks have schedules beside them.
type applicationSource struct {
	App    string `placeholder:"MODULE:APP" help:"Celery application with schedules beside its tasks; it is imported."`
	Python string `default:"python3" placeholder:"PROGRAM" help:"Python that can import it and the package tactus."`
}

// items runs Python to print the schedules of the application as a manifest.
func (a applicationSource) items(ctx context.Context, to console, faults *reading) ([]item, error) {
	var problems bytes.Buffer
	cmd := exec.CommandContext(ctx, a.Python, "-m", "tactus.celery", a.App)
	cmd.Stderr = &problems
	printed, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, usage("--python %s: %v", a.Python, err)
	}
	raw, err := readMost(printed, "what --app prints", maxImportFile)
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	if err := cmd.Wait(); err != nil {
		return nil, usage("--app %s: %s ended with %v:\n%s", a.App, a.Python, err, strings.TrimSpace(problems.String()))
	}
	for line := range strings.Lines(problems.String()) { // the output of the application while it is imported
		say(to.problems, "--app: %s\n", strings.TrimRight(line, "\r\n"))
	}
	return readManifest("--app "+a.App, raw, faults), nil
}
