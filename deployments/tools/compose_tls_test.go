package tools

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// certificates makes the secrets of compose.tls.yaml.
func certificates(t *testing.T) map[string]string {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skipf("secrets.sh makes certificates by openssl, which is not here: %v", err)
	}
	return secrets(t, "--tls")
}

// TestCertificatesAreForTheServices checks that the certificates are good for what compose.tls.yaml uses them for, by
// the names of its services, and for nothing else.
func TestCertificatesAreForTheServices(t *testing.T) {
	made := certificates(t)
	haveFiles(t, projects(t)["tls"], made)
	trusted := x509.NewCertPool()
	if !trusted.AppendCertsFromPEM([]byte(made["tls_authority"])) {
		t.Fatal("the authority is no certificate")
	}
	for name, usage := range map[string]x509.ExtKeyUsage{
		"postgres": x509.ExtKeyUsageServerAuth, "redis": x509.ExtKeyUsageServerAuth, "client": x509.ExtKeyUsageClientAuth,
	} {
		pair, err := tls.X509KeyPair([]byte(made["tls_"+name]), []byte(made["tls_"+name+"_key"]))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		its := x509.VerifyOptions{Roots: trusted, DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: time.Now().AddDate(9, 0, 0)}
		if _, err := pair.Leaf.Verify(its); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if its.DNSName = "elsewhere"; pair.Leaf.VerifyHostname(its.DNSName) == nil || pair.Leaf.IsCA || !slices.Equal(pair.Leaf.ExtKeyUsage, its.KeyUsages) {
			t.Errorf("%s is good for more than it is for: %v", name, pair.Leaf.ExtKeyUsage)
		}
	}
}

// TestNothingGoesWithoutTLS checks that every client of compose.tls.yaml verifies the server that it speaks to, and
// that the servers refuse whoever does not speak TLS.
func TestNothingGoesWithoutTLS(t *testing.T) {
	p := projects(t)["tls"]
	database, err := url.Parse(certificates(t)["database_url_tls"])
	if err != nil {
		t.Fatal(err)
	}
	if q := database.Query(); q.Get("sslmode") != "verify-full" || q.Get("sslrootcert") != "/run/secrets/tls_authority" || database.Hostname() != "postgres" {
		t.Errorf("the program connects by %v", database.Redacted())
	}
	for _, name := range ours {
		if got := value(p.Services[name], "DATABASE_URL_FILE"); path.Base(got) != "database_url_tls" {
			t.Errorf("%s connects by %s", name, got)
		}
	}
	for _, name := range []string{"relay", "beat", "worker"} {
		given := []string{}
		for _, s := range p.Services[name].Secrets {
			given = append(given, "/run/secrets/"+s.Source)
		}
		for setting, text := range p.Services[name].Environment {
			switch {
			case strings.HasSuffix(setting, "_URL") && !strings.HasPrefix(*text, "rediss://redis:6379/"):
				t.Errorf("%s: %s is %s", name, setting, *text)
			case strings.HasPrefix(setting, "TACTUS_REDIS_SSL_") && !slices.Contains(given, *text):
				t.Errorf("%s is not given %s: %s", name, setting, *text)
			}
			if name != "worker" || !strings.HasSuffix(setting, "_URL") {
				continue
			}
			at, err := url.Parse(*text)
			if err != nil || at.Query().Get("ssl_cert_reqs") != "required" {
				t.Errorf("the worker does not verify Redis: %s, %v", *text, err)
			}
			for _, option := range []string{"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"} {
				if !slices.Contains(given, at.Query().Get(option)) {
					t.Errorf("the worker is not given %s", option)
				}
			}
		}
	}
	redis := strings.Join(p.Services["redis"].Command, " ")
	for _, option := range []string{"--port 0 ", "--tls-port 6379", "--tls-auth-clients yes", "--maxmemory-policy noeviction", "--appendonly yes"} {
		if !strings.Contains(redis, option) {
			t.Errorf("redis has no %s: %s", option, redis)
		}
	}
	rules, err := os.ReadFile("../postgres/hostssl.conf")
	if err != nil {
		t.Fatal(err)
	}
	for rule := range strings.Lines(string(rules)) {
		if fields := strings.Fields(rule); len(fields) > 0 && !slices.Contains([]string{"#", "local", "hostssl"}, fields[0]) {
			t.Errorf("PostgreSQL lets in without TLS: %s", rule)
		}
	}
	if said := p.Services["postgres"].Command; !slices.Contains(said, "--ssl=on") || !slices.Contains(said, "--hba_file=/etc/postgresql/hba.conf") {
		t.Errorf("PostgreSQL runs %v", said)
	}
	for name := range p.Services {
		if health := p.Services[name].HealthCheck; name != "migrate" && (health == nil || health.Interval == nil) {
			t.Errorf("%s has no health check", name)
		}
	}
}
