package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"
)

// certified returns the owner of a request's client certificate, which the server has verified, or Nobody if there is
// none. The certificate's organizational units are the groups of its owner.
func (g *Guard) certified(r *http.Request) Principal {
	if !g.config.Ways.Certificates || r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return Principal{}
	}
	c := r.TLS.VerifiedChains[0][0]
	name := nameOf(c)
	if name == "" || time.Now().After(c.NotAfter) { // a connection may outlive it
		return Principal{}
	}
	return Principal{Kind: Certificate, Name: name, Role: g.config.Groups.role(c.Subject.OrganizationalUnit)}
}

// nameOf returns the name of a certificate's owner with its kind: CN=alice is not URI=alice, because an issuer may give
// names of one kind to other people than names of another kind.
func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0: // SPIFFE
		return "URI=" + c.URIs[0].String()
	case c.Subject.CommonName != "":
		return "CN=" + c.Subject.CommonName
	case len(c.EmailAddresses) > 0:
		return "email=" + c.EmailAddresses[0]
	case len(c.DNSNames) > 0:
		return "DNS=" + c.DNSNames[0]
	}
	return ""
}

// TLS returns the configuration of a server with a certificate and key from files, which are read again when they
// change. With clientCA, a file with certificates of issuers, clients may have certificates of their own.
func TLS(certFile, keyFile, clientCA string) (*tls.Config, error) {
	files := &certificateFiles{cert: certFile, key: keyFile}
	if _, err := files.get(nil); err != nil {
		return nil, err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.get}
	if clientCA == "" {
		return c, nil
	}
	text, err := os.ReadFile(clientCA)
	if err != nil {
		return nil, err
	}
	c.ClientCAs = x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s has no certificate (PEM) in it", clientCA)
	}
	c.ClientAuth = tls.VerifyClientCertIfGiven
	return c, nil
}

// certificateFiles is a certificate in files that may be replaced.
type certificateFiles struct {
	cert, key string

	mu      sync.Mutex
	looked  time.Time
	changed time.Time
	current *tls.Certificate
}

// get returns the certificate. While the files are being replaced and do not fit together, it returns the previous one.
func (f *certificateFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil && time.Since(f.looked) < time.Second {
		return f.current, nil
	}
	f.looked = time.Now()
	var newest time.Time
	var failed error
	for _, name := range []string{f.cert, f.key} {
		info, err := os.Stat(name)
		if err != nil {
			failed = errors.Join(failed, err)
		} else if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	if failed == nil && (f.current == nil || !newest.Equal(f.changed)) {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if failed = err; err == nil {
			f.current, f.changed = &pair, newest
		}
	}
	if f.current == nil {
		return nil, failed
	}
	return f.current, nil
}
