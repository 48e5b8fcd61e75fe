package testenv

import (
	"errors"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Direction is one way through a Proxy.
type Direction int

// The two ways.
const (
	ToServer Direction = iota
	ToClient
)

// Proxy stands between clients and a server that speaks TCP, and harms what passes when it is told to. Every method
// may be called at any time, and concerns the open connections as well as those to come, until Heal.
type Proxy struct {
	listener *net.TCPListener
	pumps    sync.WaitGroup

	mu      sync.Mutex
	server  string
	changed *sync.Cond
	refused bool
	ways    [2]way
	loss    *loss // of a request that is still to come
	open    map[*pair]struct{}
}

// way is what happens in one direction.
type way struct {
	delay time.Duration
	held  bool
	cut   bool
	left  int64 // bytes that pass before the cut
}

// pair is one connection and its other half; to[d] is where direction d leads.
type pair struct {
	to   [2]*net.TCPConn
	gone bool
	tail []byte // of what was sent to the server, while a request is waited for
	loss *loss  // the request was sent: its answer is lost
}

// Through puts a proxy in front of the server of a URL until t ends, and gives the URL that leads through it.
func Through(t testing.TB, serverURL string) (*Proxy, string) {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{server: u.Host, listener: l, open: map[*pair]struct{}{}}
	p.changed = sync.NewCond(&p.mu)
	p.pumps.Go(p.accept)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		p.Refuse()
		p.pumps.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

// Delay holds back all that passes in both directions, by d.
func (p *Proxy) Delay(d time.Duration) {
	p.set(func() { p.ways[ToServer].delay, p.ways[ToClient].delay = d, d })
}

// BlackHole lets nothing through in a direction, without an error. As on a network that comes back, what was sent
// meanwhile arrives after Heal, late, unless its connection was given up. With ToClient, commands run and their answers
// are lost.
func (p *Proxy) BlackHole(d Direction) { p.set(func() { p.ways[d].held = true }) }

// Cut resets the connection that carries a direction's byte after the next n, once.
func (p *Proxy) Cut(d Direction, n int64) {
	p.set(func() { p.ways[d].cut, p.ways[d].left = true, n })
}

// Reset resets all open connections; new ones are taken.
func (p *Proxy) Reset() { p.set(p.resetAll) }

// Refuse resets all open connections, and every new one as soon as it is made.
func (p *Proxy) Refuse() {
	p.set(func() {
		p.refused = true
		p.resetAll()
	})
}

// HalfClose ends one direction of the open connections; the other stays.
func (p *Proxy) HalfClose(d Direction) {
	p.set(func() {
		for c := range p.open {
			_ = c.to[d].CloseWrite() // it may have ended by itself
		}
	})
}

// Retarget leads new connections to another server and resets the open ones, as a failover does.
func (p *Proxy) Retarget(t testing.TB, serverURL string) {
	t.Helper()
	u, err := url.Parse(serverURL)
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() {
		p.server = u.Host
		p.resetAll()
	})
}

// Heal ends all harm.
func (p *Proxy) Heal() { p.set(func() { p.refused, p.ways, p.loss = false, [2]way{}, nil }) }

func (p *Proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	p.changed.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue // the client was gone again
		}
		p.mu.Lock()
		to := p.server
		p.mu.Unlock()
		server, err := net.Dial("tcp", to)
		if err != nil {
			_ = abort(client)
			continue
		}
		p.join(&pair{to: [2]*net.TCPConn{ToServer: server.(*net.TCPConn), ToClient: client}})
	}
}

func (p *Proxy) join(c *pair) {
	p.set(func() {
		p.open[c] = struct{}{}
		if p.refused {
			p.reset(c)
			return
		}
		var both sync.WaitGroup
		both.Go(func() { p.pump(c, ToServer) })
		both.Go(func() { p.pump(c, ToClient) })
		p.pumps.Go(func() {
			both.Wait()
			p.set(func() { p.reset(c) })
		})
	})
}

// pump carries one direction of a connection until it ends.
func (p *Proxy) pump(c *pair, d Direction) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := c.to[1-d].Read(buffer)
		p.watch(c, d, buffer[:n])
		for sent := 0; sent < n; {
			size := p.admit(c, d, int64(n-sent))
			if size == 0 {
				return
			}
			if _, err := c.to[d].Write(buffer[sent : sent+int(size)]); err != nil {
				break // the receiver wants no more; it may still be sending
			}
			sent += int(size)
		}
		if err != nil {
			p.passEnd(c, d)
			return
		}
	}
}

// passEnd tells the receiver that no more will come, unless the connection is being reset: then it shall hear that.
func (p *Proxy) passEnd(c *pair, d Direction) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !c.gone {
		_ = c.to[d].CloseWrite() // the receiver may be gone
	}
}

// admit waits until bytes may pass and tells how many; none when the connection is over.
func (p *Proxy) admit(c *pair, d Direction, n int64) int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if delay := p.ways[d].delay; delay > 0 {
		p.mu.Unlock()
		time.Sleep(delay)
		p.mu.Lock()
	}
	w := &p.ways[d]
	for w.held && !c.gone {
		p.changed.Wait()
	}
	if w.cut && w.left == 0 {
		w.cut = false
		p.reset(c)
	}
	if c.gone {
		return 0
	}
	if w.cut {
		n = min(n, w.left)
		w.left -= n
	}
	return n
}

func (p *Proxy) resetAll() {
	for c := range p.open {
		p.reset(c)
	}
}

// reset drops a connection in both directions. The lock must be held.
func (p *Proxy) reset(c *pair) {
	c.gone = true
	delete(p.open, c)
	_, _ = abort(c.to[ToServer]), abort(c.to[ToClient]) // whichever is closed already is closed
}

// abort closes with a reset instead of an end.
func abort(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) }
