package servers

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// Config is how a server runs.
type Config struct {
	Dir             string            // for data and log; a server that finds data there keeps it. It is the starter's alone
	Password        string            // of the administrator; one is made up, and kept in Dir, unless given
	Port            int               // on 127.0.0.1; 0 is any free one
	Durable         bool              // what is committed survives a crash of the machine: for dev, not for tests
	Settings        map[string]string // more lines for the server's configuration
	Log             func(string)      // told what takes time, before it is done; may be nil
	Brief           bool              // Log is told of what is fetched alone, which may take minutes
	IgnoreInstalled bool              // use the cache even when the program is installed
	Suite           string            // take the program from this suite of Debian ("trixie"), always from the cache
}

func (c Config) say(text string) {
	if c.Log != nil {
		c.Log(text)
	}
}

// mention tells of what takes seconds only.
func (c Config) mention(text string) {
	if !c.Brief {
		c.say(text)
	}
}

// dataDir makes the folder that the child writes to.
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
