package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/tactus-dev/tactus/internal/wait"
)

// ownServer is a server that dev has started, and that it restarts if the server ends by itself.
type ownServer struct {
	name string
	childServer
}

type childServer interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Ended() <-chan struct{}
}

const (
	lookEvery    = time.Second
	aMoment      = 200 * time.Millisecond
	mostRestarts = 3 // of a server, within restartSpan
	restartSpan  = time.Minute
)

// watch restarts a server whenever it ends, until ctx ends. It returns an error if the folder is gone, or if the server
// ends too often.
func (o *ownServers) watch(ctx context.Context, s ownServer) error {
	var begun []time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookEvery):
			if err := o.folderThere(); err != nil {
				return err
			}
			continue
		case <-s.Ended():
		}
		if wait.For(ctx, aMoment) != nil { // Ctrl-C reaches dev and its servers at once
			return nil
		}
		if err := o.folderThere(); err != nil {
			return err
		}
		begun = append(begun, time.Now())
		if n := len(begun); n > mostRestarts && begun[n-1].Sub(begun[n-1-mostRestarts]) < restartSpan {
			return fmt.Errorf("%s ends again and again: look at its log in %s", s.name, o.dir)
		}
		o.say(s.name + " has ended by itself; starting it again")
		if err := s.Start(ctx); err != nil && ctx.Err() == nil {
			return fmt.Errorf("%s has ended by itself, and cannot be started again: %w", s.name, err)
		}
	}
}

// folderThere returns an error if the state folder was deleted or moved, even while servers are still running in it.
func (o *ownServers) folderThere() error {
	_, err := os.Stat(filepath.Join(o.dir, "lock"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the state folder %s was deleted or moved while tactus dev ran, and what PostgreSQL and "+
			"Redis kept went with it: start tactus dev again", o.dir)
	}
	return nil
}
