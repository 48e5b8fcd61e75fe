package servers

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// Config is how a server runs.
type Config struct {
	Dir             string            // for data and log; a server that finds data there keeps it
	Port            int               // on 127.0.0.1; 0 is any free one
	Durable         bool              // what is committed survives a crash of the machine: for dev, not for tests
	Settings        map[string]string // more lines for the server's configuration
	Log             func(string)      // told what takes time, before it is done; may be nil
	IgnoreInstalled bool              // use the cache even when the program is installed
}

func (c Config) say(text string) {
	if c.Log != nil {
		c.Log(text)
	}
}

func (c Config) openLog(name string) (*os.File, error) {
	if err := own(c.Dir); err != nil {
		return nil, fmt.Errorf("prepare %s: %w", c.Dir, err)
	}
	f, err := os.OpenFile(filepath.Join(c.Dir, name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// freePort gives a port that was free just now. Another may take it before our child does: starting is tried again.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

const startAttempts = 5

// onFreePort calls start with the configured port, or with free ones until one is not taken from us.
func (c Config) onFreePort(start func(port int) error) error {
	if c.Port != 0 {
		return start(c.Port)
	}
	var err error
	for range startAttempts {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = start(port); err == nil {
			return nil
		}
	}
	return err
}
