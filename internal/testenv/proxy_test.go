package testenv_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// echo answers what it is sent until the client ends, then says goodbye.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := io.Copy(c, c); err == nil {
					_, _ = io.WriteString(c, "bye")
				}
			}()
		}
	}()
	return "tcp://" + l.Addr().String()
}

func dial(t *testing.T, url string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "tcp://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// say sends text and reads as many bytes back, in the time there is.
func say(t *testing.T, c net.Conn, text string, patience time.Duration) (string, error) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	answer := make([]byte, len(text))
	n, err := io.ReadFull(c, answer)
	return string(answer[:n]), err
}

func TestProxyPasses(t *testing.T) {
	t.Parallel()
	_, url := testenv.Through(t, echo(t))
	c := dial(t, url)
	long := strings.Repeat("0123456789", 20_000)
	if got, err := say(t, c, long, testenv.Patience); err != nil || got != long {
		t.Fatalf("%d bytes came back of %d: %v", len(got), len(long), err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(c); err != nil || string(rest) != "bye" {
		t.Errorf("after our end the server said %q, %v", rest, err)
	}
}

func TestProxyDelays(t *testing.T) {
	t.Parallel()
	p, url := testenv.Through(t, echo(t))
	c := dial(t, url)
	p.Delay(30 * time.Millisecond)
	began := time.Now()
	if _, err := say(t, c, "a", testenv.Patience); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 60*time.Millisecond {
		t.Errorf("there and back took %s", took)
	}
}

func TestProxyCutsAfterBytes(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]testenv.Direction{"to server": testenv.ToServer, "to client": testenv.ToClient} {
		t.Run(name, func(t *testing.T) {
			p, url := testenv.Through(t, echo(t))
			p.Cut(d, 4)
			got, err := say(t, dial(t, url), "0123456789", testenv.Patience)
			if len(got) > 4 || !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("came back: %q, %v", got, err)
			}
			if got, err := say(t, dial(t, url), "0123456789", testenv.Patience); err != nil {
				t.Errorf("the next connection: %q, %v", got, err)
			}
		})
	}
}

func TestProxyBlackHole(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]testenv.Direction{"to server": testenv.ToServer, "to client": testenv.ToClient} {
		t.Run(name, func(t *testing.T) {
			p, url := testenv.Through(t, echo(t))
			c := dial(t, url)
			p.BlackHole(d)
			if got, err := say(t, c, "late", 50*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("came back: %q, %v", got, err)
			}
			p.Heal()
			if got, err := say(t, c, "soon", testenv.Patience); err != nil || got != "late" {
				t.Errorf("came back: %q, %v", got, err)
			}
		})
	}
}

func TestProxyResetsAndRefuses(t *testing.T) {
	t.Parallel()
	p, url := testenv.Through(t, echo(t))
	c := dial(t, url)
	if _, err := say(t, c, "a", testenv.Patience); err != nil {
		t.Fatal(err)
	}
	p.Reset()
	if _, err := say(t, c, "a", testenv.Patience); err == nil {
		t.Error("an open connection outlived the reset")
	}
	p.Refuse()
	if refused, err := net.Dial("tcp", strings.TrimPrefix(url, "tcp://")); err == nil { // else it was reset while it was made
		if _, err := say(t, refused, "a", testenv.Patience); err == nil {
			t.Error("a connection was taken")
		}
		refused.Close()
	}
	p.Heal()
	if _, err := say(t, dial(t, url), "a", testenv.Patience); err != nil {
		t.Error(err)
	}
}

func TestProxyHalfCloses(t *testing.T) {
	t.Parallel()
	p, url := testenv.Through(t, echo(t))
	c := dial(t, url)
	if _, err := say(t, c, "a", testenv.Patience); err != nil {
		t.Fatal(err)
	}
	p.HalfClose(testenv.ToServer)
	if rest, err := io.ReadAll(c); err != nil || string(rest) != "bye" {
		t.Errorf("after its end the server said %q, %v", rest, err)
	}
}

// TestProxyLosesAnswers shows the fault that matters most: a command that ran, and whose answer is lost.
func TestProxyLosesAnswers(t *testing.T) {
	t.Parallel()
	url := testenv.RedisURL(t)
	p, through := testenv.Through(t, url)
	options, err := redis.ParseURL(through)
	if err != nil {
		t.Fatal(err)
	}
	options.MaxRetries, options.ContextTimeoutEnabled = -1, true
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	p.BlackHole(testenv.ToClient)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // a slow machine sends it within that, too
	defer cancel()
	if err := client.Incr(ctx, "n").Err(); err == nil {
		t.Fatal("an answer came through")
	}
	direct := testenv.Client(t, url)
	testenv.Eventually(t, "the command runs", func() error {
		n, err := direct.Get(t.Context(), "n").Int()
		if err == nil && n != 1 {
			t.Fatalf("it ran %d times", n)
		}
		return err
	})
}

// TestProxyBeforePostgres shows that PostgreSQL's protocol passes, and fails, as it should.
func TestProxyBeforePostgres(t *testing.T) {
	t.Parallel()
	p, through := testenv.Through(t, testenv.DirectURL(t))
	pool := testenv.Connect(t, through)
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.Cut(testenv.ToClient, 10)
	if _, err := pool.Exec(t.Context(), "select repeat('a', 1000)"); err == nil {
		t.Error("a cut answer came through")
	}
	if err := pool.Ping(t.Context()); err != nil {
		t.Errorf("after the cut: %v", err)
	}
}
