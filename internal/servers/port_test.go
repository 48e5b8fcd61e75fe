package servers

import (
	"net"
	"testing"
)

// TestPortIsKept starts again on the same port, or on another one while that is taken.
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
	if other := started(); other == first { // the first listener holds it
		t.Errorf("port %d twice", other)
	}
	for range 10 { // another program may take the port in between
		kept := held.Addr().(*net.TCPAddr).Port
		if err := held.Close(); err != nil {
			t.Fatal(err)
		}
		if started() == kept {
			return
		}
	}
	t.Error("each start has another port")
}
