package main

import (
	"fmt"
	"net"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/importer"
)

// redBeatFlags say where RedBeat keeps its schedules.
type redBeatFlags struct {
	URL    secret `name:"redbeat-redis-url" env:"REDBEAT_REDIS_URL" placeholder:"URL" help:"URL of RedBeat's Redis; or REDBEAT_REDIS_URL_FILE, a file with it."`
	Prefix string `name:"redbeat-key-prefix" default:"redbeat:" placeholder:"PREFIX" help:"RedBeat's redbeat_key_prefix."`
}

// redBeat returns how to connect to RedBeat's Redis, and the source of its entries.
func (f redBeatFlags) redBeat(label string) (*redis.Options, importer.Source, error) {
	if !f.URL.isSet() {
		return nil, importer.Source{},
			usage("REDBEAT_REDIS_URL is not set: give the URL of RedBeat's Redis, redis://user:password@host:port/db")
	}
	options, err := redis.ParseURL(f.URL.reveal())
	if err != nil {
		return nil, importer.Source{}, usage("REDBEAT_REDIS_URL: %v", f.URL.fault(err))
	}
	source, err := importFlags{Source: label}.from(importer.RedBeat, f.label(options))
	return options, source, err
}

// label names the source: the database, behind it this host when the URL would mean another Redis on another host, and
// the prefix unless it is RedBeat's usual one.
func (f redBeatFlags) label(options *redis.Options) string {
	label := database(options)
	if onThisHost(options) {
		label += "@" + hostname()
	}
	if f.ownPrefix() {
		label += "@" + f.Prefix
	}
	return label
}

// names returns the names that several sources may share, or none when the label names one source only. One is the name
// as the URL has it, which labels had before they named the host.
func (f redBeatFlags) names(options *redis.Options) []string {
	if f.ownPrefix() || onThisHost(options) {
		return []string{database(options), fmt.Sprintf("%s/%d", options.Addr, options.DB)}
	}
	return nil
}

func (f redBeatFlags) ownPrefix() bool { return f.Prefix != importer.DefaultRedBeatPrefix }

// database names the database of Redis as its URL does. All names of this host are one.
func database(options *redis.Options) string {
	addr := options.Addr
	if _, port, err := net.SplitHostPort(addr); err == nil && onThisHost(options) {
		addr = net.JoinHostPort("localhost", port)
	}
	return fmt.Sprintf("%s/%d", addr, options.DB)
}

// onThisHost reports whether the URL names a Redis by what each host calls itself, or a socket of this host.
func onThisHost(options *redis.Options) bool {
	host, _, err := net.SplitHostPort(options.Addr)
	if options.Network == "unix" || err != nil {
		return true
	}
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback() || ip.IsUnspecified()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasPrefix(host, "localhost.") || strings.HasSuffix(host, ".localhost") ||
		host == "ip6-localhost" || host == "ip6-loopback"
}
