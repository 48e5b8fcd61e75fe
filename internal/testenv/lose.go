package testenv

import "bytes"

// Lost is what is lost of a request: it does not happen, or it happens and nobody hears of it.
type Lost int

// The two ways in which every effect fails.
const (
	Request Lost = iota
	Answer
)

func (l Lost) String() string {
	return [...]string{"did not happen", "happened, and the answer was lost"}[l]
}

// loss is a request that is waited for.
type loss struct {
	what Lost
	text []byte
	done chan struct{}
}

// Lose waits for the next request that has a text in it, and loses it or its answer, with all connections. Then
// everything is refused until Heal, so that nobody tries again before somebody has looked. The channel is closed when
// that is so.
func (p *Proxy) Lose(what Lost, text string) (done <-chan struct{}) {
	l := &loss{what, []byte(text), make(chan struct{})}
	p.set(func() { p.loss = l })
	return l.done
}

// watch looks at what was read in a direction, before it is passed on.
func (p *Proxy) watch(c *pair, d Direction, read []byte) {
	if len(read) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case d == ToClient && c.loss != nil:
		p.lose(c.loss)
	case d == ToServer && p.loss != nil && c.says(read, p.loss.text):
		if p.loss.what == Request {
			p.lose(p.loss)
		} else {
			c.loss, p.loss = p.loss, nil
		}
	}
}

// says reports whether a text was sent, now or between what was sent before and now.
func (c *pair) says(read, text []byte) bool {
	c.tail = append(c.tail, read...)
	found := bytes.Contains(c.tail, text)
	c.tail = c.tail[max(0, len(c.tail)-len(text)+1):]
	return found
}

func (p *Proxy) lose(l *loss) {
	p.loss, p.refused = nil, true
	p.resetAll()
	p.changed.Broadcast()
	close(l.done)
}
