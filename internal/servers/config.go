package servers

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Config configures a server.
type Config struct {
	Dir             string            // for data and log; data that is there is used; no other user can read the folder
	Password        string            // the administrator's; if empty, a random one is made and kept in Dir
	Port            int               // on 127.0.0.1; 0 for any free port
	KeepPort        bool              // take the port of the last start again, if it is free
	Durable         bool              // commits survive a crash of the machine; for dev, not for tests
	Settings        map[string]string // additional settings of the server
	Log             func(string)      // called before each step that takes long; may be nil
	Brief           bool              // call Log before downloads only, which may take minutes
	IgnoreInstalled bool              // use the cache even when the program is installed
	Suite           string            // use the program of this Debian suite ("trixie"), always from the cache
}

func (c Config) say(text string) {
	if c.Log != nil {
		c.Log(text)
	}
}

// mention calls Log for a step that takes seconds only, unless Brief is set.
func (c Config) mention(text string) {
	if !c.Brief {
		c.say(text)
	}
}

// dataDir creates the folder that the child writes to.
func (c Config) dataDir() (string, error) {
	data := filepath.Join(c.Dir, "data")
	err := OwnDir(c.Dir)
	if err == nil {
		err = os.Mkdir(data, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return data, nil
	}
	if err == nil {
		err = give(data)
	}
	if err != nil {
		return "", fmt.Errorf("prepare %s: %w", c.Dir, err)
	}
	return data, nil
}

func (c Config) openLog(name string) (*os.File, error) {
	if err := OwnDir(c.Dir); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", c.Dir, err)
	}
	f, err := appendTo(filepath.Join(c.Dir, name))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// freePort returns a port that is free now. Another process may take it before our child does, so starting is retried.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

const startAttempts = 5

// onFreePort calls start with the configured port, or with free ports until none is taken from us.
func (c Config) onFreePort(start func(port int) error) error {
	if c.Port != 0 {
		return start(c.Port)
	}
	if kept := c.keptPort(); kept != 0 && start(kept) == nil {
		return nil
	}
	var err error
	for range startAttempts {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = start(port); err == nil {
			return c.keepPort(port)
		}
	}
	return err
}

func (c Config) portFile() string { return filepath.Join(c.Dir, "port") }

// keptPort returns the port of the last start, or 0 when there was none, or when it is taken. Who takes it meanwhile is
// not connected to: see listening.
func (c Config) keptPort() int {
	text, err := os.ReadFile(c.portFile())
	if err != nil || !c.KeepPort {
		return 0
	}
	port, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil || l.Close() != nil {
		return 0
	}
	return port
}

func (c Config) keepPort(port int) error {
	if !c.KeepPort {
		return nil
	}
	if err := WriteOwn(c.portFile(), strconv.Itoa(port)+"\n"); err != nil {
		return fmt.Errorf("keep the port: %w", err)
	}
	return nil
}
