package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/tactus-dev/tactus/internal/telemetry"
)

// profileFlags say where a process serves its profiles.
type profileFlags struct {
	PprofAddr string `name:"pprof-addr" env:"TACTUS_PPROF_ADDR" placeholder:"HOST:PORT" help:"Loopback address to serve Go's profiles on, at /debug/pprof/, to whoever is on this machine (default none)."`
}

// validate refuses an address that others can reach: profiles are served without a key, and making one takes time.
func (f profileFlags) validate() error {
	if f.PprofAddr == "" {
		return nil
	}
	host, _, err := net.SplitHostPort(f.PprofAddr)
	if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return usage("TACTUS_PPROF_ADDR %q: want a loopback address, such as 127.0.0.1:6060, because profiles are served "+
			"to whoever asks", f.PprofAddr)
	}
	return nil
}

// profiles serves profiles in a group until ctx ends, if they are wanted.
func (f profileFlags) profiles(ctx context.Context, group partGroup, log *slog.Logger) {
	if f.PprofAddr == "" {
		return
	}
	group.Go("profiles", func() error {
		l, err := net.Listen("tcp", f.PprofAddr)
		if err != nil {
			return fmt.Errorf("listen on TACTUS_PPROF_ADDR: %w", err)
		}
		hosts, err := telemetry.NewHosts(l.Addr(), nil)
		if err != nil {
			return err
		}
		log.Info("profiles are served", "pprof", "http://"+l.Addr().String()+"/debug/pprof/")
		return telemetry.Serve(ctx, l, hosts, telemetry.Profiles(), telemetry.Drain{})
	})
}
