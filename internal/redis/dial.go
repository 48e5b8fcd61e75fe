package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

const (
	dialTimeout = 5 * time.Second
	keepAlive   = 30 * time.Second
	// probeTimeout is how long a port may take to show whether it speaks TLS.
	probeTimeout = time.Second
)

// dialer returns a function that connects to a node. The node's address comes from the URL, from a Sentinel or from a
// Cluster, and with TLS the certificate is verified for that address. When one side speaks TLS and the other does not,
// the error says so.
func dialer(cfg *tls.Config, timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: cmp.Or(max(timeout, 0), dialTimeout), KeepAlive: keepAlive}
	if cfg == nil {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := d.DialContext(ctx, network, addr)
			if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
				return &plainConn{TCPConn: tcp, addr: addr}, nil
			}
			return conn, err
		}
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		own := cfg.Clone()
		own.ServerName = host
		conn, err := (&tls.Dialer{NetDialer: d, Config: own}).DialContext(ctx, network, addr)
		if err != nil && speaksPlainly(addr, err) {
			err = fmt.Errorf("%s does not speak TLS: use redis:// instead of rediss:// (%w)", addr, err)
		}
		return conn, err
	}
}

// speaksPlainly reports whether a TLS handshake has failed because the server is a Redis without TLS. Such a Redis
// takes the handshake for the beginning of a command and waits for the rest, so the handshake times out; then
// speaksPlainly sends a PING.
func speaksPlainly(addr string, failure error) bool {
	if _, other := errors.AsType[tls.RecordHeaderError](failure); other {
		return true
	}
	if waited, ok := errors.AsType[net.Error](failure); !ok || !waited.Timeout() {
		return false
	}
	conn, err := net.DialTimeout("tcp", addr, probeTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	answer := make([]byte, 1)
	_ = conn.SetDeadline(time.Now().Add(probeTimeout)) // on failure the read below fails too
	if _, err = io.WriteString(conn, "PING\r\n"); err == nil {
		_, err = conn.Read(answer)
	}
	return err == nil && (answer[0] == '+' || answer[0] == '-')
}

// plainConn is a connection without TLS that recognizes a server with TLS: by the alert with which such a server
// answers a command, or, when the server only hangs up, by a handshake.
type plainConn struct {
	*net.TCPConn
	addr  string
	heard bool
}

// Read implements io.Reader.
func (c *plainConn) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	if c.heard {
		return n, err
	}
	c.heard = n > 0
	hungUp := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)
	if n > 0 && b[0] == alertRecord || n == 0 && hungUp && speaksTLS(c.addr) {
		return 0, fmt.Errorf("%s speaks TLS: use rediss:// instead of redis://", c.addr)
	}
	return n, err
}

// alertRecord is the first byte of a TLS alert. No answer of Redis begins with it.
const alertRecord = 21

// speaksTLS reports whether a port answers a TLS handshake, even by an alert.
func speaksTLS(addr string) bool {
	// The certificate does not matter: nothing is sent after the handshake.
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: probeTimeout}, Config: &tls.Config{InsecureSkipVerify: true}}
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = conn.Close()
		return true
	}
	refusal, ok := errors.AsType[*net.OpError](err)
	return ok && refusal.Op == "remote error" // an alert
}
