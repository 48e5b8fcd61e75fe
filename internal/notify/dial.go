package notify

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// reserved has the addresses that belong to no host in the public Internet, besides those that netip recognizes.
var reserved = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
	"198.51.100.0/24", "203.0.113.0/24",
	"168.63.129.16/32", // Azure's platform, as reached from within
	"240.0.0.0/4", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
	"3fff::/20", "5f00::/16", "fec0::/10",
)

func prefixes(texts ...string) (all []netip.Prefix) {
	for _, text := range texts {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}

// Private are networks that may be reached although they are not public.
type Private []netip.Prefix

// ParsePrivate parses networks, such as 10.0.0.0/8, and single addresses.
func ParsePrivate(texts []string) (p Private, err error) {
	for _, text := range texts {
		network, err := netip.ParsePrefix(text)
		if address, failed := netip.ParseAddr(text); err != nil && failed == nil {
			network, err = address.Prefix(address.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no network: want one such as 10.0.0.0/8", text)
		}
		p = append(p, network.Masked())
	}
	return p, nil
}

// allows reports whether an address may be connected to.
func (p Private) allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, network := range p {
		if network.Contains(a) {
			return true
		}
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		return false
	}
	for _, network := range reserved {
		if network.Contains(a) {
			return false
		}
	}
	return true
}

// refused is the error of a request that is not sent, or whose redirect is not followed.
type refused struct{ text string }

func (r *refused) Error() string { return r.text }

// errPrivate means that an address is not public.
var errPrivate = &refused{"the address is of a private network: allow it by TACTUS_NOTIFY_PRIVATE if it is meant"}

const (
	connectTimeout = 5 * time.Second
	sendTimeout    = 10 * time.Second
	testTimeout    = 6 * time.Second // somebody waits for the outcome, no longer than a request may take
	mostRedirects  = 3
	mostAnswer     = 4 << 10
)

// client returns an HTTP client that connects only to public and allowed addresses. The address is checked after it was
// resolved and just before it is dialed, for each attempt and each redirect, so a name that resolves to another address
// the second time cannot evade the check. The client keeps no connections open, which destinations could exhaust, and
// uses no proxy, which would make the connection in its place, without the check.
func (p Private) client() *http.Client {
	dialer := &net.Dialer{Timeout: connectTimeout, ControlContext: func(_ context.Context, _, address string,
		_ syscall.RawConn,
	) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil || !p.allows(at.Addr()) {
			return errPrivate
		}
		return nil
	}}
	return &http.Client{
		Timeout: sendTimeout,
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: connectTimeout,
			MaxResponseHeaderBytes: 64 << 10, ForceAttemptHTTP2: true,
		},
		CheckRedirect: redirects,
	}
}

// redirects follows a redirect only if it keeps the method and the body, does not leave TLS, and stays on the same host
// and port, because the body and the headers are meant for this destination only. It drops the Referer header, which
// would reveal the address, a secret.
func redirects(next *http.Request, before []*http.Request) error {
	next.Header.Del("Referer")
	switch last := before[len(before)-1]; {
	case len(before) > mostRedirects:
		return &refused{"too many redirects"}
	case next.Response.StatusCode != http.StatusTemporaryRedirect &&
		next.Response.StatusCode != http.StatusPermanentRedirect:
		return http.ErrUseLastResponse
	case last.URL.Scheme == "https" && next.URL.Scheme != "https":
		return &refused{"it redirects to an address without TLS"}
	case next.URL.Host != last.URL.Host:
		return &refused{"it redirects to another host or port: name that one in the address of the rule"}
	}
	return nil
}
