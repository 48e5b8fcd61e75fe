package testenv

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/servers"
)

// process is what this test process has started.
var process struct {
	sync.Mutex
	dir     string // of servers' data
	bin     string // of programs
	closers []func(context.Context) error
}

// Main runs the tests of a package, then ends the servers that they shared. Settings that a developer's shell may have
// for a tactus of his own are not seen by tests.
func Main(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); settings.MatchString(v) && !strings.HasPrefix(name, "TACTUS_") {
			_ = os.Unsetenv(name) // the name is a good one
		}
	}
	silence()
	overlap()
	code := m.Run()
	if err := closeAll(); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// overlap lets more tests run at once than there are processors, because most of them wait: for servers to start, for
// schedules to become due. Whoever runs them may say another number by -parallel.
func overlap() {
	if f := flag.Lookup("test.parallel"); f != nil {
		_ = f.Value.Set(strconv.Itoa(testsPerProcessor * runtime.GOMAXPROCS(0)))
	}
}

const testsPerProcessor = 3

func closeAll() error {
	process.Lock()
	defer process.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var errs []error
	for i := len(process.closers) - 1; i >= 0; i-- {
		errs = append(errs, process.closers[i](ctx))
	}
	for _, dir := range []string{process.dir, process.bin} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

func onClose(end func(context.Context) error) {
	process.Lock()
	defer process.Unlock()
	process.closers = append(process.closers, end)
}

const dirPrefix = "tactus-test-"

// Dir makes a folder that servers can write to, in memory where the system has it. It goes with the process.
func Dir() (string, error) {
	process.Lock()
	defer process.Unlock()
	if process.dir == "" {
		base := os.TempDir()
		if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
			base = "/dev/shm"
		}
		dir, err := makeDir(base)
		if err != nil {
			return "", err
		}
		process.dir = dir
	}
	return mkdir(process.dir, "")
}

// programDir makes a folder that programs can be run from, which memory often forbids. It goes with the process.
func programDir() (string, error) {
	process.Lock()
	defer process.Unlock()
	if process.bin == "" {
		dir, err := makeDir(os.TempDir())
		if err != nil {
			return "", err
		}
		process.bin = dir
	}
	return mkdir(process.bin, "")
}

// makeDir makes a folder of this process.
func makeDir(base string) (string, error) {
	reap(base)
	return mkdir(base, fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
}

// mkdir makes a folder that nobody else can look into. The servers, which are another user when we are root, pass
// through.
func mkdir(parent, prefix string) (string, error) {
	dir, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return "", err
	}
	return dir, servers.OwnDir(dir)
}

// reap removes what killed test processes have left behind; their servers died with them.
func reap(base string) {
	left, _ := filepath.Glob(filepath.Join(base, dirPrefix+"*")) // the pattern is well formed
	for _, dir := range left {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), dirPrefix), "-")
		if n, err := strconv.Atoi(pid); err == nil && errors.Is(syscall.Kill(n, 0), syscall.ESRCH) {
			_ = os.RemoveAll(dir) // another process may be removing it too
		}
	}
}

// password is that of all servers of this process, so that they can replicate each other.
var password = sync.OnceValue(servers.NewPassword)

// serverConfig is for a server in a new folder of this process.
func serverConfig(settings map[string]string) (servers.Config, error) {
	dir, err := Dir()
	if err != nil {
		return servers.Config{}, err
	}
	return servers.Config{
		Dir: filepath.Join(dir, "server"), Password: password(), Settings: settings,
		Log: func(text string) { fmt.Fprintln(os.Stderr, "testenv:", text) }, Brief: !testing.Verbose(),
	}, nil
}
