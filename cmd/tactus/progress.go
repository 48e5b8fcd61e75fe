package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progress draws a bar on a terminal. When the output is not a terminal, progress writes nothing.
type progress struct {
	to    io.Writer
	total int64
	began time.Time
	drawn time.Time
}

func newProgress(to io.Writer, total int64) *progress {
	if p, ok := to.(printable); ok {
		to = p.to // a bar moves the cursor
	}
	if !terminal(to) {
		to = io.Discard
	}
	return &progress{to: to, total: total, began: time.Now()}
}

func terminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const (
	barWidth  = 30
	drawEvery = 100 * time.Millisecond
)

// at draws the bar with done of the total.
func (p *progress) at(done int64) {
	if now := time.Now(); p.total >= 0 && done >= p.total || now.Sub(p.drawn) >= drawEvery {
		p.drawn = now
		fmt.Fprint(p.to, p.bar(done, now.Sub(p.began)))
	}
}

// end draws what is done for the last time, where at did not know that it was.
func (p *progress) end(done int64) {
	if p.total < 0 && !p.drawn.IsZero() {
		fmt.Fprint(p.to, p.bar(done, time.Since(p.began))+"\n")
	}
}

func (p *progress) bar(done int64, took time.Duration) string {
	share := 1.0
	if p.total > 0 {
		share = min(1, float64(done)/float64(p.total))
	}
	if p.total < 0 { // nobody knows how many there are
		return fmt.Sprintf("\r%d, %.0f/s", done, float64(done)/max(took.Seconds(), 0.001))
	}
	full := int(share * barWidth)
	line := fmt.Sprintf("\r[%s%s] %3.0f%%  %d of %d, %.0f/s", strings.Repeat("#", full),
		strings.Repeat(".", barWidth-full),
		share*100, done, p.total, float64(done)/max(took.Seconds(), 0.001))
	if done >= p.total {
		line += "\n"
	}
	return line
}
