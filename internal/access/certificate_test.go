package access_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// issuer makes certificates.
type issuer struct {
	*x509.Certificate
	key *ecdsa.PrivateKey
	der []byte
}

func newIssuer(t *testing.T) issuer {
	t.Helper()
	return issue(t, nil, &x509.Certificate{
		Subject: pkix.Name{CommonName: "issuer"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
}

func issue(t *testing.T, by *issuer, c *x509.Certificate) issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Certificate, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return issuer{parsed, key, der}
}

// files writes a certificate and its key.
func (i issuer) files(t *testing.T) (cert, key string) {
	t.Helper()
	raw, err := x509.MarshalECPrivateKey(i.key)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: i.der}, key: {Type: "EC PRIVATE KEY", Bytes: raw}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// TestClientCertificates asks with certificates of whoever is trusted, and of others.
func TestClientCertificates(t *testing.T) {
	t.Parallel()
	ca, other := newIssuer(t), newIssuer(t)
	cert, key := issue(t, &ca, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}).files(t)
	trusted, _ := ca.files(t)
	config, err := access.TLS(cert, key, trusted)
	if err != nil {
		t.Fatal(err)
	}
	pool := testenv.Database(t)
	serve := func(c access.Config) *httptest.Server {
		c.Groups = access.Groups{"ops": access.Admin, "*": access.Read}
		guard := access.New(pool, c, slog.New(slog.NewTextHandler(t.Output(), nil)), prometheus.NewRegistry())
		server := httptest.NewUnstartedServer(guard.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			who := access.From(r.Context())
			_, _ = io.WriteString(w, who.Actor()+" "+who.Role.String())
		})))
		server.Listener = tls.NewListener(server.Listener, config)
		server.Start()
		t.Cleanup(server.Close)
		return server
	}
	server := serve(access.Config{Ways: access.Ways{Certificates: true}})

	ask := func(of *issuer) (string, error) {
		roots := x509.NewCertPool()
		roots.AddCert(ca.Certificate)
		client := &tls.Config{RootCAs: roots}
		if of != nil {
			client.Certificates = []tls.Certificate{{Certificate: [][]byte{of.der}, PrivateKey: of.key}}
		}
		transport := &http.Transport{TLSClientConfig: client}
		defer transport.CloseIdleConnections()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.Replace(server.URL, "http:", "https:", 1), nil)
		if err != nil {
			return "", err
		}
		response, err := (&http.Client{Transport: transport}).Do(request)
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return string(body), err
	}
	given := func(by issuer, name, unit string) *issuer {
		c := issue(t, &by, &x509.Certificate{
			Subject: pkix.Name{CommonName: name, OrganizationalUnit: []string{unit}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		return &c
	}
	also := func(names x509.Certificate) *issuer {
		names.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		c := issue(t, &ca, &names)
		return &c
	}
	ops := pkix.Name{OrganizationalUnit: []string{"ops"}}
	for _, c := range []struct {
		of   *issuer
		want string
	}{
		{nil, " "},
		{given(ca, "deploy", "ops"), "certificate:CN=deploy admin"},
		{given(ca, "reader", "none"), "certificate:CN=reader read"},
		{also(x509.Certificate{URIs: []*url.URL{{Path: "deploy"}}}), "certificate:URI=deploy read"},
		{also(x509.Certificate{EmailAddresses: []string{"deploy"}, Subject: ops}), "certificate:email=deploy admin"},
		{also(x509.Certificate{DNSNames: []string{"deploy"}}), "certificate:DNS=deploy read"},
		{given(ca, "URI=deploy", "none"), "certificate:CN=URI=deploy read"},
	} {
		if got, err := ask(c.of); err != nil || got != c.want {
			t.Errorf("%q, %v; want %q", got, err, c.want)
		}
	}
	if got, err := ask(given(other, "deploy", "ops")); err == nil {
		t.Errorf("a certificate of somebody else is %q", got)
	}

	// A proxy that passes on the request of somebody whom it does not know does not give its own rights away.
	server = serve(access.Config{
		Ways:    access.Ways{Certificates: true, Proxy: true},
		Proxies: access.Proxies{From: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, UserHeader: "X-Forwarded-User"},
	})
	if got, err := ask(given(ca, "proxy", "ops")); err != nil || got != " " {
		t.Errorf("nobody, by a proxy: %q, %v", got, err)
	}
}

// TestRenewedCertificate renews the certificate of a server.
func TestRenewedCertificate(t *testing.T) {
	t.Parallel()
	first := newIssuer(t)
	cert, key := first.files(t)
	config, err := access.TLS(cert, key, "")
	if err != nil {
		t.Fatal(err)
	}
	second := newIssuer(t)
	newCert, newKey := second.files(t)
	later := time.Now().Add(time.Minute)
	for from, to := range map[string]string{newCert: cert, newKey: key} {
		if err := os.Chtimes(from, later, later); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, "the new certificate is served", func() error {
		current, err := config.GetCertificate(nil)
		if err != nil {
			return err
		}
		return second.CheckSignature(second.SignatureAlgorithm, second.RawTBSCertificate, func() []byte {
			c, _ := x509.ParseCertificate(current.Certificate[0])
			return c.Signature
		}())
	})
	if _, err := access.TLS(cert, filepath.Join(t.TempDir(), "none"), ""); err == nil {
		t.Error("there is no such key")
	}
}
