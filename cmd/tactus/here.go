package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
)

// hereFlags find the process of the container in which a health check runs. An image has one check for api, relay and
// beat. The check has the environment of the process, so it uses the settings that say where the process listens.
// Without these settings it tries the default ports of api, relay and beat, and takes the first one that answers.
type hereFlags struct {
	Here     bool   `help:"Ask the process of this container, where its settings say that it listens."`
	HTTPAddr string `name:"http-addr" env:"TACTUS_HTTP_ADDR" placeholder:"HOST:PORT" help:"With --here: where it is."`
	TLSCert  string `name:"tls-cert" env:"TACTUS_TLS_CERT" placeholder:"FILE" help:"With --here: it serves TLS."`
}

// address returns where the process of this container listens.
func (f hereFlags) address(ctx context.Context) (string, error) {
	if f.HTTPAddr != "" {
		host, port, err := net.SplitHostPort(f.HTTPAddr)
		if err != nil {
			return "", usage("TACTUS_HTTP_ADDR %q: want HOST:PORT", f.HTTPAddr)
		}
		if ip := net.ParseIP(host); ip.IsUnspecified() {
			host = ""
		}
		return net.JoinHostPort(cmp.Or(host, "127.0.0.1"), port), nil
	}
	all := []string{apiAddr, relayAddr, beatAddr}
	for _, address := range all {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return address, conn.Close()
		}
	}
	return "", fmt.Errorf("no process listens at %s; TACTUS_HTTP_ADDR names another address",
		strings.Join(all, ", "))
}

// ask asks the process of this container whether it is ready. Its certificate is for the names by which others reach
// it, and not for the loopback address.
func (f hereFlags) ask(ctx context.Context) (*http.Response, error) {
	address, err := f.address(ctx)
	if err != nil {
		return nil, err
	}
	scheme := "http"
	if f.TLSCert != "" {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+"/readyz", nil)
	if err != nil {
		return nil, usage("TACTUS_HTTP_ADDR: %v", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.Proxy = nil
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, withoutURL(err))
	}
	return response, nil
}
