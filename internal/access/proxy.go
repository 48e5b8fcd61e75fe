package access

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
)

// Proxies are those that are trusted to say who asks.
type Proxies struct {
	From         []netip.Prefix // their addresses
	UserHeader   string         // X-Forwarded-User
	GroupsHeader string         // X-Forwarded-Groups: separated by commas
}

// ParsePrefixes parses addresses and networks.
func ParsePrefixes(all []string) (prefixes []netip.Prefix, err error) {
	for _, text := range all {
		text = strings.TrimSpace(text)
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, aerr := netip.ParseAddr(text)
			if aerr != nil {
				return nil, fmt.Errorf("%q: want an address, or a network such as 10.0.0.0/8", text)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		prefixes = append(prefixes, p.Masked())
	}
	return prefixes, nil
}

// trusts reports whether a request comes from a trusted proxy. What others say in its headers counts for nothing.
func (p Proxies) trusts(r *http.Request) bool {
	a, err := netip.ParseAddr(peer(r))
	if err != nil {
		return false
	}
	a = a.Unmap().WithZone("")
	for _, prefix := range p.From {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// user returns the user whom a trusted proxy names, or Nobody if it names none that can be read. A header that comes
// twice names nobody, because a proxy that adds its own to what clients send lets them choose.
func (g *Guard) user(r *http.Request) (Principal, error) {
	p := g.config.Proxies
	for _, header := range []string{p.UserHeader, p.GroupsHeader} {
		if len(r.Header.Values(header)) > 1 {
			return Principal{}, &domain.Error{
				Kind: domain.Unauthenticated, Code: "credentials_invalid", Field: header,
				Message: "this header came twice: have the proxy replace what clients send, and not add to it",
			}
		}
	}
	name := strings.TrimSpace(r.Header.Get(p.UserHeader))
	if name == "" || !utf8.ValidString(name) {
		return Principal{}, nil
	}
	groups := strings.Split(r.Header.Get(p.GroupsHeader), ",")
	return Principal{Kind: Proxy, Name: name, Role: g.config.Groups.role(groups)}, nil
}

// address returns the client's address: a trusted proxy says whose request it passes on.
func (g *Guard) address(r *http.Request) string {
	if !g.config.Proxies.trusts(r) {
		return peer(r)
	}
	hops := entries(r, "X-Forwarded-For")
	if last := hops[len(hops)-1]; last != "" {
		return last
	}
	return peer(r)
}

// overTLS reports whether the client's connection is encrypted. The last entry is that of the trusted proxy itself. If
// the proxy took the request from another one without TLS, an earlier entry counts as well. The sender of the request
// may have made it up, but gains nothing: over TLS fewer cookies count, and fewer are sent.
func (g *Guard) overTLS(r *http.Request) bool {
	https := func(entry string) bool { return strings.EqualFold(entry, "https") }
	return r.TLS != nil || g.config.Proxies.trusts(r) && slices.ContainsFunc(entries(r, "X-Forwarded-Proto"), https)
}

// entries returns the values that proxies have added to a header, in their order.
func entries(r *http.Request, header string) []string {
	all := strings.Split(strings.Join(r.Header.Values(header), ","), ",")
	for i, e := range all {
		all[i] = strings.TrimSpace(e)
	}
	return all
}
