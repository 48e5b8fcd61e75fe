package notify_test

import (
	"testing"

	"github.com/tactus-dev/tactus/internal/notify"
)

// TestHostsAreKnown checks that HostOf returns one name for all spellings of a host.
func TestHostsAreKnown(t *testing.T) {
	t.Parallel()
	for _, same := range [][]string{
		{
			"http://127.0.0.1/", "http://u:p@127.0.0.1", "http://127.1:80", "http://2130706433:080/", "http://0x7f.1",
			"http://0177.0.0.1?x", "http://[::ffff:127.0.0.1]", "http://127.0.0.1.", "HTTP://127.0.1:",
		},
		{"https://h.example", "https://H.Example.:443", "https://u@h.example/x#", "http://h.example:443"},
		{"http://[2001:DB8::1]:8", "http://[2001:db8:0:0::1]:8"},
	} {
		for _, address := range same {
			if got, want := notify.HostOf(address), notify.HostOf(same[0]); got != want {
				t.Errorf("%s is %q, %s is %q", address, got, same[0], want)
			}
		}
	}
	known := map[string]bool{}
	for _, address := range []string{
		"http://h", "http://i", "https://h", "http://h:8", "http://127.2", "http://0b1", "http://1_1", "http://1.2.3.4.5", "http://256", "http://1.256",
		"http://4294967296", "http://08",
	} {
		known[notify.HostOf(address)] = true
	}
	if len(known) != 12 {
		t.Errorf("some are taken for the same: %v", known)
	}
}
