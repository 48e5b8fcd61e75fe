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
	// askTimeout is how long a port may take to say whether it speaks TLS.
	askTimeout = time.Second
)

// dialer connects to a node, which may be any of a Cluster or whatever the Sentinels name. With TLS each node is verified by
// the name under which it is dialed. A port that speaks TLS to a client that does not, or the other way round, is told so.
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

// speaksPlainly reports whether a handshake has failed because there is a Redis without TLS. It takes a handshake for the
// beginning of a command, of which it awaits the end.
func speaksPlainly(addr string, failure error) bool {
	if _, other := errors.AsType[tls.RecordHeaderError](failure); other {
		return true
	}
	if waited, ok := errors.AsType[net.Error](failure); !ok || !waited.Timeout() {
		return false
	}
	conn, err := net.DialTimeout("tcp", addr, askTimeout)
	if err != nil {
		return false
	}
	defer conn.Close()
	answer := make([]byte, 1)
	_ = conn.SetDeadline(time.Now().Add(askTimeout)) // an answer that does not come is none
	if _, err = io.WriteString(conn, "PING\r\n"); err == nil {
		_, err = conn.Read(answer)
	}
	return err == nil && (answer[0] == '+' || answer[0] == '-')
}

// plainConn finds out why a server hung up before it has said anything.
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

// alertRecord begins what TLS answers to something else. No answer of Redis begins with it.
const alertRecord = 21

// speaksTLS reports whether a port answers a handshake, if only to refuse it. Nothing else is sent.
func speaksTLS(addr string) bool {
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: askTimeout}, Config: &tls.Config{InsecureSkipVerify: true}} // it is given nothing
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err == nil {
		_ = conn.Close() // nothing was said
		return true
	}
	refusal, ok := errors.AsType[*net.OpError](err)
	return ok && refusal.Op == "remote error" // an alert
}
