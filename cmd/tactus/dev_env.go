package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tactus-dev/tactus/internal/servers"
)

// devEnv holds the addresses that dev prints and writes to dev.env.
type devEnv struct {
	database, redis, broker, results secret
	url                              string
}

const devEnvFile = "dev.env"

func (e devEnv) write(path string) error {
	text := fmt.Sprintf("DATABASE_URL=%s\nREDIS_URL=%s\nCELERY_BROKER_URL=%s\n"+
		"CELERY_RESULT_BACKEND=%s\nTACTUS_URL=%s\n",
		e.database.reveal(), e.redis.reveal(), e.broker.reveal(), e.results.reveal(), e.url)
	if err := servers.WriteOwn(path, text); err != nil {
		return fmt.Errorf("write dev.env: %w", err)
	}
	return nil
}

// printEnv prints what a shell is to evaluate to use the tactus dev that runs on the folder.
func printEnv(state string, out io.Writer) error {
	text, err := os.ReadFile(filepath.Join(state, devEnvFile))
	if err != nil || !devRuns(state) {
		return missing(fmt.Sprintf("no tactus dev runs on %s: start it, or name its folder by TACTUS_STATE_DIR", state))
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			say(out, "export %s='%s'\n", name, strings.ReplaceAll(value, "'", `'\''`))
		}
	}
	return nil
}

// devRuns reports whether a dev has the folder.
func devRuns(state string) bool {
	unlock, held, err := servers.TryLock(filepath.Join(state, "lock"))
	if err == nil && !held {
		unlock()
	}
	return held
}
