package redis

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// The options of a URL for TLS, as Celery writes them.
const (
	certReqs   = "ssl_cert_reqs"      // required, optional or none: whether the server's certificate must be good
	caCerts    = "ssl_ca_certs"       // a file of those who may have signed it; the system's when there is none
	checkHost  = "ssl_check_hostname" // false: it may be for another name
	clientCert = "ssl_certfile"       // our own certificate ...
	clientKey  = "ssl_keyfile"        // ... and its key, which may be in the same file
)

// Files are settings for TLS that apply to every URL that does not name its own.
type Files struct{ CACerts, Certificate, Key string }

// URL adds the files to the URL of a Redis with TLS.
func (f Files) URL(rawURL string) string {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	if !strings.HasPrefix(scheme, "rediss") {
		return rawURL
	}
	_, query, has := strings.Cut(rest, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return rawURL // which is told when it is used
	}
	add := url.Values{}
	if f.CACerts != "" && !given.Has(caCerts) && !given.Has(certReqs) {
		add.Set(caCerts, f.CACerts)
	}
	if f.Certificate != "" && !given.Has(clientCert) && !given.Has(clientKey) {
		add.Set(clientCert, f.Certificate)
		if f.Key != "" {
			add.Set(clientKey, f.Key)
		}
	}
	switch {
	case len(add) == 0:
		return rawURL
	case has && query != "":
		return rawURL + "&" + add.Encode()
	case has:
		return rawURL + add.Encode()
	}
	return rawURL + "?" + add.Encode()
}

// trust takes the options for TLS out of a query, and obeys them.
func trust(cfg *tls.Config, query url.Values) error {
	said := map[string]string{}
	for _, name := range []string{certReqs, caCerts, checkHost, clientCert, clientKey} {
		if query.Has(name) {
			said[name] = query.Get(name)
			query.Del(name)
		}
	}
	if len(said) == 0 {
		return nil
	}
	if cfg == nil {
		return fmt.Errorf("%s, %s, %s, %s and %s are for rediss://", certReqs, caCerts, checkHost, clientCert, clientKey)
	}
	if err := authorities(cfg, said[caCerts]); err != nil {
		return err
	}
	if err := strictness(cfg, said[certReqs], said[checkHost]); err != nil {
		return err
	}
	return identity(cfg, said[clientCert], said[clientKey])
}

// authorities are those who may have signed a server's certificate.
func authorities(cfg *tls.Config, file string) error {
	if file == "" {
		return nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", caCerts, err)
	}
	cfg.RootCAs = x509.NewCertPool()
	if !cfg.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: %s has no certificate", caCerts, file)
	}
	return nil
}

func strictness(cfg *tls.Config, requires, host string) error {
	switch strings.ToLower(strings.TrimPrefix(requires, "CERT_")) {
	case "", "required", "optional":
	case "none":
		cfg.InsecureSkipVerify = true
		return nil
	default:
		return fmt.Errorf("%s %q: want required, optional or none", certReqs, requires)
	}
	switch strings.ToLower(host) {
	case "", "true", "1", "yes":
	case "false", "0", "no":
		cfg.InsecureSkipVerify, cfg.VerifyConnection = true, signed(cfg) // which is not skipped
	default:
		return fmt.Errorf("%s %q: want true or false", checkHost, host)
	}
	return nil
}

// signed verifies all of a certificate but the name that it is for.
func signed(cfg *tls.Config) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: between})
		return err
	}
}

// identity is who we are to the server. The files are read anew for each connection: certificates are renewed.
func identity(cfg *tls.Config, certificate, key string) error {
	if certificate == "" && key == "" {
		return nil
	}
	if certificate == "" {
		return errors.New(clientKey + " without " + clientCert)
	}
	if key == "" {
		key = certificate
	}
	load := func() (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%s, %s: %w", clientCert, clientKey, err)
		}
		return &pair, nil
	}
	cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load() }
	_, err := load()
	return err
}
