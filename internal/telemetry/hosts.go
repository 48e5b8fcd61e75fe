package telemetry

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts decides which Host headers a server accepts. A web page can make a name of its own resolve to our address, and
// its requests then count as of the same origin (DNS rebinding). But the page cannot choose the Host header: it names
// the page's host, never this machine's own name or address.
type Hosts struct {
	names    map[string]bool
	suffixes []string // .example.org, allows the names below example.org
	any      bool
	loopback bool // the listener accepts connections from this machine only
}

// NewHosts returns the hosts for a listener's address: this machine's loopback names, and the allowed names, where
// *.name allows the names below a name, and * any. If other machines can connect, all IP addresses are accepted too.
func NewHosts(on net.Addr, allowed []string) (Hosts, error) {
	at, isTCP := on.(*net.TCPAddr)
	h := Hosts{names: map[string]bool{}, loopback: isTCP && at.IP.IsLoopback()}
	for _, entry := range allowed {
		name := strings.ToLower(strings.TrimSpace(entry))
		below, isBelow := strings.CutPrefix(name, "*.")
		switch {
		case name == "*":
			h.any = true
		case strings.ContainsAny(below, "*/: \t") || below == "":
			return Hosts{}, fmt.Errorf("%q: want a host without a scheme or a port, *.host for those below it, or * for any", entry)
		case isBelow:
			h.suffixes = append(h.suffixes, "."+below)
		default:
			h.names[name] = true
		}
	}
	return h, nil
}

// Allow reports whether a Host is accepted. A request without one (HTTP/1.0) is accepted, because no browser sends it.
func (h Hosts) Allow(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if h.any || h.names[host] || host == "" || host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	if ip, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return !h.loopback || ip.IsLoopback()
	}
	for _, suffix := range h.suffixes {
		if strings.HasSuffix(host, suffix) {
			return true
		}
	}
	return false
}

var misdirected = Refusal{
	Status: http.StatusMisdirectedRequest, Code: "host_not_allowed", Location: "Host",
	Message: "this server does not go by that name: list it in TACTUS_ALLOWED_HOSTS",
}

func (h Hosts) only(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Allow(r.Host) {
			handler.ServeHTTP(w, r)
			return
		}
		misdirected.Answer(w)
	})
}
