package redis_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/redis"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// authority signs certificates and writes them to files that a server can read.
type authority struct {
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	a := &authority{dir: dir}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.key, a.cert = a.issue(t, "ca", template, template, nil)
	return a
}

// issue signs a certificate, and writes it and its key to name.pem and name.key.
func (a *authority) issue(t testing.TB, name string, template, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if by == nil {
		by = key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{
		a.file(name + ".pem"): {Type: "CERTIFICATE", Bytes: der}, a.file(name + ".key"): {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return key, cert
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// certify issues a certificate for hosts.
func (a *authority) certify(t testing.TB, name string, hosts ...string) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	a.issue(t, name, template, a.cert, a.key)
}

// server starts a Redis with the named certificate, and returns its ports and the user and password part of its URLs.
func (a *authority) server(t testing.TB, name string, settings map[string]string) (plain, secure, user string) {
	t.Helper()
	port := testenv.FreePort(t)
	all := map[string]string{
		"tls-port": port, "tls-cert-file": a.file(name + ".pem"), "tls-key-file": a.file(name + ".key"), "tls-ca-cert-file": a.file("ca.pem"),
		"tls-auth-clients": "no",
	}
	maps.Copy(all, settings)
	at, err := url.Parse(testenv.RedisServer(t, all).URL(0))
	if err != nil {
		t.Fatal(err)
	}
	return at.Port(), port, at.User.String() + "@"
}

// wantPing pings a server, and wants an error that contains a text, or no error if the text is empty.
func wantPing(t testing.TB, url, want string) {
	t.Helper()
	client, err := redis.Connect(url)
	if err == nil {
		defer client.Close()
		err = client.Get(t.Context(), "no such key").Err()
	}
	if errors.Is(err, goredis.Nil) {
		err = nil
	}
	if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: got %v, want %q", url, err, want)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.certify(t, "server", "localhost")
	a.certify(t, "client", "relay")
	ca := "ssl_ca_certs=" + url.QueryEscape(a.file("ca.pem"))
	plain, open, who := a.server(t, "server", nil)
	_, strict, whoStrict := a.server(t, "server", map[string]string{"tls-auth-clients": "yes"})
	own := "&ssl_certfile=" + url.QueryEscape(a.file("client.pem")) + "&ssl_keyfile=" + url.QueryEscape(a.file("client.key"))
	for rest, want := range map[string]string{
		"rediss://localhost:" + open + "?" + ca:                                       "",
		"rediss://localhost:" + open:                                                  "unknown authority",
		"rediss://localhost:" + open + "?ssl_cert_reqs=none":                          "",
		"rediss://localhost:" + open + "?skip_verify=true":                            "",
		"rediss://127.0.0.1:" + open + "?" + ca:                                       "127.0.0.1",
		"rediss://127.0.0.1:" + open + "?" + ca + "&ssl_check_hostname=false":         "",
		"rediss://127.0.0.1:" + open + "?ssl_check_hostname=false":                    "unknown authority",
		"rediss://localhost:" + strict + "?" + ca:                                     "certificate required",
		"rediss://localhost:" + strict + "?" + ca + own:                               "",
		"rediss://localhost:" + open + "?ssl_certfile=/nowhere":                       "/nowhere",
		"rediss://localhost:" + open + "?ssl_keyfile=" + a.file("client.key"):         "without ssl_certfile",
		"redis://localhost:" + open:                                                   "speaks TLS: use rediss:// instead of redis://",
		"redis://localhost:" + strict:                                                 "speaks TLS: use rediss:// instead of redis://",
		"rediss://localhost:" + plain + "?" + ca:                                      "does not speak TLS: use redis:// instead of rediss://",
		redis.Files{CACerts: a.file("ca.pem")}.URL("rediss://localhost:" + open):      "",
		redis.Files{CACerts: "/nowhere"}.URL("rediss://localhost:" + open + "?" + ca): "",
		redis.Files{CACerts: a.file("ca.pem"), Certificate: a.file("client.pem"), Key: a.file("client.key")}.URL("rediss://localhost:" + strict): "",
		redis.Files{CACerts: "/nowhere"}.URL("redis://localhost:" + plain):                                                                       "",
	} {
		user := who
		if strings.Contains(rest, ":"+strict) {
			user = whoStrict
		}
		wantPing(t, strings.Replace(rest, "://", "://"+user, 1), want)
	}
}

// TestTLSOfEachNode has a Cluster that names a node by another name than the URL does.
func TestTLSOfEachNode(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.certify(t, "both", "localhost", "127.0.0.1")
	a.certify(t, "one", "localhost")
	for name, want := range map[string]string{"both": "", "one": "for 127.0.0.1"} {
		plain, secure, user := a.server(t, name, map[string]string{
			"cluster-enabled": "yes", "tls-cluster": "yes", "cluster-port": testenv.FreePort(t), "cluster-announce-ip": "127.0.0.1",
		})
		client := testenv.Client(t, "redis://"+user+"127.0.0.1:"+plain)
		if err := client.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
			t.Fatal(err)
		}
		testenv.Eventually(t, "the Cluster serves all slots", func() error { return client.Set(t.Context(), "k", "v", 0).Err() })
		wantPing(t, "rediss+cluster://"+user+"localhost:"+secure+"?ssl_ca_certs="+url.QueryEscape(a.file("ca.pem")), want)
	}
}

// TestTLSOfWhatSentinelNames has a Sentinel that names the primary by another name than the URL has for the Sentinel.
func TestTLSOfWhatSentinelNames(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.certify(t, "both", "localhost", "127.0.0.1")
	a.certify(t, "one", "localhost")
	for name, want := range map[string]string{"both": "", "one": "for 127.0.0.1"} {
		settings := map[string]string{
			"tls-cert-file": a.file(name + ".pem"), "tls-key-file": a.file(name + ".key"), "tls-ca-cert-file": a.file("ca.pem"),
			"tls-auth-clients": "no", "tls-replication": "yes",
		}
		secure := testenv.FreePort(t)
		settings["tls-port"] = secure
		primary := testenv.RedisServer(t, settings)
		settings["tls-port"] = testenv.FreePort(t)
		watching := testenv.StartSentinel(t, primary, 1, settings)
		client := goredis.NewSentinelClient(&goredis.Options{Addr: watching.Addr(), Password: watching.Password()})
		defer client.Close()
		if err := client.Remove(t.Context(), "main").Err(); err != nil {
			t.Fatal(err)
		}
		if err := client.Monitor(t.Context(), "main", "127.0.0.1", secure, "1").Err(); err != nil {
			t.Fatal(err)
		}
		wantPing(t, fmt.Sprintf("rediss+sentinel://:%s@localhost:%s/main/0?sentinel_password=%[1]s&ssl_ca_certs=%[3]s",
			watching.Password(), settings["tls-port"], url.QueryEscape(a.file("ca.pem"))), want)
	}
}

// TestServerThatSaysNothing connects to a server that hangs up on everybody, and does not speak TLS.
func TestServerThatSaysNothing(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close() // hanging up is the point
		}
	}()
	client := connect(t, "redis://"+l.Addr().String())
	if err := client.Ping(t.Context()).Err(); err == nil || strings.Contains(err.Error(), "TLS") {
		t.Error(err)
	}
}
