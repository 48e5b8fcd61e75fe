package telemetry_test

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/tactus-dev/tactus/internal/telemetry"
)

func TestHosts(t *testing.T) {
	t.Parallel()
	loopback, everywhere := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, &net.TCPAddr{IP: net.IPv4zero}
	six, wildcard := &net.TCPAddr{IP: net.IPv6loopback}, &net.TCPAddr{}
	for _, c := range []struct {
		on      net.Addr
		allowed []string
		good    []string
		bad     []string
	}{
		{
			loopback, nil,
			[]string{"localhost", "LOCALHOST:8000", "localhost.", "tactus.localhost:8000", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000", "[::1]", ""},
			[]string{"evil.example", "evil.example:8000", "192.168.0.7", "[fe80::1]", "localhost.evil.example", "127.0.0.1.evil.example", "xlocalhost", "0.0.0.0", "2130706433", "127.1"},
		},
		{six, nil, []string{"localhost:1", "[::1]:1"}, []string{"evil.example"}},
		{loopback, []string{"tactus.example", " *.Corp.example"}, []string{"Tactus.example:443", "a.b.corp.example", "localhost"}, []string{"corp.example", "evilcorp.example", "tactus.example.evil.example"}},
		{everywhere, nil, []string{"10.1.2.3:8000", "[fd00::1]:8000", "localhost", "127.0.0.1"}, []string{"evil.example", "api:8000"}},
		{wildcard, []string{"api"}, []string{"api:8000", "10.1.2.3"}, []string{"evil.example"}},
		{everywhere, []string{"*"}, []string{"evil.example"}, nil},
	} {
		hosts, err := telemetry.NewHosts(c.on, c.allowed)
		if err != nil {
			t.Fatal(err)
		}
		for want, names := range map[bool][]string{true: c.good, false: c.bad} {
			for _, name := range names {
				if got := hosts.Allow(name); got != want {
					t.Errorf("on %v, with %v, %q: %v", c.on, c.allowed, name, got)
				}
			}
		}
	}
	for _, entry := range []string{"", "http://x", "x:80", "a.*", "*.", "**"} {
		if _, err := telemetry.NewHosts(loopback, []string{entry}); err == nil {
			t.Errorf("%q was accepted", entry)
		}
	}
}

// TestRebinding is a request of a web page whose name resolves to this server.
func TestRebinding(t *testing.T) {
	t.Parallel()
	called := 0
	address, _, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { called++ }))
	for _, request := range []string{"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := fmt.Fprint(conn, request); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if response.Body.Close(); response.StatusCode != http.StatusMisdirectedRequest || called > 0 {
			t.Errorf("%q: %d, and %d calls", request, response.StatusCode, called)
		}
	}
}
