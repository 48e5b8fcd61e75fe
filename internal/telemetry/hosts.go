package telemetry

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Hosts are the names by which a process lets itself be called, from the Host of a request. A web page anywhere can have its
// own name resolve to an address of ours, and then counts as of the same origin (DNS rebinding); it cannot have the name
// of this machine itself, nor an address.
type Hosts struct {
	names    map[string]bool
	suffixes []string // .example.org, for the names below example.org
	any      bool
	loopback bool // only this machine can call
}

// NewHosts returns the hosts of a listener's address: this machine's loopback names, and what is allowed: names, *.name for
// those below a name, * for any. Where other machines can call, addresses are good, too.
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

// Allow reports whether the Host of a request is good. A client that names none (HTTP/1.0) is no browser.
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

var misdirected = refusal{
	http.StatusMisdirectedRequest, "host_not_allowed", "Host", "this server does not go by that name: list it in TACTUS_ALLOWED_HOSTS",
}

func (h Hosts) only(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Allow(r.Host) {
			handler.ServeHTTP(w, r)
			return
		}
		misdirected.answer(w)
	})
}
