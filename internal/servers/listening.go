package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A port of 127.0.0.1 is whose process binds it first. Every user of the machine can see in the list of processes which
// port a child is about to bind, and can be faster; who then connects would tell them the password. So a child is not
// connected to before it has said, in a file that it alone can write, that it has the port. A child that cannot have
// its port ends.

// endOf returns the size of a log before a child writes to it.
func endOf(log *os.File) (int64, error) { return log.Seek(0, io.SeekEnd) }

// logged returns an error until the log has the text behind an offset.
func (c Config) logged(name string, began int64, text string) error {
	log, err := openOwn(filepath.Join(c.Dir, name), os.O_RDONLY)
	if err != nil {
		return err
	}
	defer log.Close()
	said, err := io.ReadAll(io.NewSectionReader(log, began, 1<<20))
	if err != nil {
		return err
	}
	if !bytes.Contains(said, []byte(text)) {
		return fmt.Errorf("the process has not logged %q", text)
	}
	return nil
}

// awaitLogged waits until a child that was just started has logged a text behind an offset, and answers. If it does
// not, the child is killed.
func (c Config) awaitLogged(
	ctx context.Context, child *Child, server, log string, began int64, text string, answers func(context.Context) error,
) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := child.await(ctx, func(ctx context.Context) error {
		if err := c.logged(log, began, text); err != nil {
			return err
		}
		return answers(ctx)
	})
	if err != nil {
		return errors.Join(fmt.Errorf("start %s: %w; its log: %s", server, err, tail(filepath.Join(c.Dir, log))), child.Kill())
	}
	return nil
}
