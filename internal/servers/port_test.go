package servers

import (
	"errors"
	"net"
	"testing"
)

// TestPortIsKept starts again: on the port of before, or on another one while that is taken.
func TestPortIsKept(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: t.TempDir(), KeepPort: true}
	var held net.Listener
	started := func() (port int) {
		t.Helper()
		err := cfg.onFreePort(func(p int) (err error) {
			port = p
			held, err = net.Listen("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p}).String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	first := started()
	if other := started(); other == first { // it is taken still
		t.Errorf("port %d twice", other)
	}
	kept := held.Addr().(*net.TCPAddr).Port
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if again := started(); again != kept && !errors.Is(errTaken(kept), errTook) {
		t.Errorf("port %d, want %d again", again, kept)
	}
}

var errTook = errors.New("somebody else has the port")

// errTaken tells whether another program of the machine has taken the port between the two starts.
func errTaken(port int) error {
	l, err := net.Listen("tcp", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
	if err != nil {
		return errTook
	}
	_ = l.Close() // it was only asked
	return nil
}
