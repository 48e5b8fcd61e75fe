package notify

import (
	"encoding/binary"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// hostOf returns the host and port of an address in a normal form: without user and password, in lower case, with the
// default port if none is given, and with IP addresses as resolvers read them (127.1, 0x7f.1 and 2130706433 are all
// 127.0.0.1).
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return strings.ToLower(address) // written by hand; nothing is sent there
	}
	host, port := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Port()
	if at, known := ipOf(host); known {
		host = at.Unmap().String()
	}
	if n, err := strconv.ParseUint(port, 10, 16); err == nil {
		port = strconv.FormatUint(n, 10)
	} else if u.Scheme == "https" {
		port = "443"
	} else {
		port = "80"
	}
	return host + " " + port
}

// ipOf parses an IP address in any form that resolvers accept: up to four parts, each decimal, octal or hexadecimal, of
// which the last one fills the remaining bytes.
func ipOf(host string) (netip.Addr, bool) {
	if at, err := netip.ParseAddr(host); err == nil {
		return at, true
	}
	parts := strings.Split(host, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var all uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (4 - i)
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil || strings.ContainsAny(part, "_o") || strings.HasPrefix(part, "0b") { // only Go reads these forms
			return netip.Addr{}, false
		}
		all = all<<bits | n
	}
	var four [4]byte
	binary.BigEndian.PutUint32(four[:], uint32(all))
	return netip.AddrFrom4(four), true
}
