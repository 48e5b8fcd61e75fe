package servers_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/servers"
)

// TestOtherSuites starts programs that need another C library than the host's.
func TestOtherSuites(t *testing.T) {
	t.Parallel()
	if release, err := os.ReadFile("/etc/os-release"); err != nil || !strings.Contains(string(release), "\nID=debian\n") {
		t.Skip("only Debian has its other suites beside its own")
	}
	for suite, version := range map[string]string{"bullseye": "13.", "trixie": "17.", "forky": "18"} {
		t.Run("PostgreSQL of "+suite, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.Suite = suite
			p, err := servers.StartPostgres(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer p.Kill()
			if got := query(t, p.URL("postgres"), "show server_version"); !strings.HasPrefix(got, version) {
				t.Errorf("%s, want %s", got, version)
			}
		})
	}
	for name, start := range map[string]func(context.Context, servers.Config) (*servers.Redis, error){
		"redis_version:8.": servers.StartRedis, "valkey_version:8.": servers.StartValkey,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.Suite = "trixie"
			r, err := start(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Kill()
			options, err := redis.ParseURL(r.URL(0))
			if err != nil {
				t.Fatal(err)
			}
			client := redis.NewClient(options)
			defer client.Close()
			if info, err := client.Info(t.Context(), "server").Result(); err != nil || !strings.Contains(info, name) {
				t.Errorf("%v: %s", err, info)
			}
		})
	}
}
