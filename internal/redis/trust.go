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

// The TLS options of a URL, with Celery's names.
const (
	certReqs   = "ssl_cert_reqs"      // required, optional or none: whether the server's certificate is verified
	caCerts    = "ssl_ca_certs"       // a file of authorities; the system's without the option
	checkHost  = "ssl_check_hostname" // false: the certificate may be for another name
	clientCert = "ssl_certfile"       // our own certificate ...
	clientKey  = "ssl_keyfile"        // ... and its key; without the option the key is in the same file
)

// Files holds paths of TLS files that apply to every URL that does not name its own. Empty paths do not apply.
type Files struct{ CACerts, Certificate, Key string }

// URL returns the URL with the files as options. It returns a URL without TLS unchanged.
func (f Files) URL(rawURL string) string {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	if !strings.HasPrefix(scheme, "rediss") {
		return rawURL
	}
	_, query, has := strings.Cut(rest, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return rawURL // Connect reports the error
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

// applyTLSOptions moves the TLS options from a query to cfg. They are an error when cfg is nil, that is without TLS.
func applyTLSOptions(cfg *tls.Config, query url.Values) error {
	given := map[string]string{}
	for _, name := range []string{certReqs, caCerts, checkHost, clientCert, clientKey} {
		if query.Has(name) {
			given[name] = query.Get(name)
			query.Del(name)
		}
	}
	if len(given) == 0 {
		return nil
	}
	if cfg == nil {
		return fmt.Errorf("%s, %s, %s, %s and %s are for rediss://",
			certReqs, caCerts, checkHost, clientCert, clientKey)
	}
	if err := loadAuthorities(cfg, given[caCerts]); err != nil {
		return err
	}
	if err := setVerification(cfg, given[certReqs], given[checkHost]); err != nil {
		return err
	}
	return setClientCertificate(cfg, given[clientCert], given[clientKey])
}

// loadAuthorities makes cfg trust only the authorities of a file; "" leaves the system's.
func loadAuthorities(cfg *tls.Config, file string) error {
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

// setVerification sets how much of a server's certificate is verified.
func setVerification(cfg *tls.Config, requires, host string) error {
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
		// InsecureSkipVerify turns off all checks of crypto/tls, but not VerifyConnection.
		cfg.InsecureSkipVerify, cfg.VerifyConnection = true, verifyChain(cfg)
	default:
		return fmt.Errorf("%s %q: want true or false", checkHost, host)
	}
	return nil
}

// verifyChain returns a check of a server's certificate that leaves out only the host name.
func verifyChain(cfg *tls.Config) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		between := x509.NewCertPool()
		for _, c := range s.PeerCertificates[1:] {
			between.AddCert(c)
		}
		_, err := s.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: between})
		return err
	}
}

// setClientCertificate sets the certificate that we show to the server. The files are read again for each connection,
// so that renewed certificates are used without a restart.
func setClientCertificate(cfg *tls.Config, certificate, key string) error {
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
