// Package bodies bounds what the bodies of requests hold together in a process, whoever reads them: the API, the pages,
// and the logins.
package bodies

import (
	"errors"
	"io"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/shares"
)

// Most is the most bytes of bodies that a process holds together.
const Most = 64 << 20

// SmallForm is the most bytes of a form that anybody may send: a key, or the address of a page.
const SmallForm = 4 << 10

// Budget counts the bytes of bodies that are held, and has a share of them for each caller.
type Budget struct {
	shares *shares.Budget

	mu      sync.Mutex
	reading map[*Reader]struct{}
}

// NewBudget returns a budget of so many bytes.
func NewBudget(most int64) *Budget {
	return &Budget{shares: shares.New(most), reading: map[*Reader]struct{}{}}
}

// Why a body is not read.
var (
	ErrFull     = &domain.Error{Code: "bodies_too_large", Message: "the bodies of the requests in work, or yours, are as large as they may be together: try again"}
	ErrStopping = &domain.Error{
		Code:    "server_stopping",
		Message: "the server stops before the body has come: nothing was done; send the request again",
	}
	ErrSlow = &domain.Error{
		Code:    "body_too_slow",
		Message: "the body did not come in time: nothing was done; send it faster, or less of it",
	}
	ErrTooLarge = &domain.Error{Kind: domain.TooLarge, Code: "payload_too_large", Message: "the form holds more than is taken: leave some of it out"}
	ErrNoForm   = &domain.Error{Kind: domain.Invalid, Code: "form_invalid", Message: "the body is no form: send it as application/x-www-form-urlencoded"}
)

// Passes reports whether a request that is sent again may be read. It is answered 503, and its connection is not used
// again.
func Passes(err error) bool {
	return errors.Is(err, ErrFull) || errors.Is(err, ErrStopping) || errors.Is(err, ErrSlow)
}

// A body is slow while its next stride takes longer than patience.
const (
	stride   = 16 << 10 // bytes
	patience = 2 * time.Second
)

// Reader counts what is read among all bodies, until it is released.
type Reader struct {
	from   io.Reader
	budget *Budget
	caller string
	end    func() // a read in progress, and all later ones

	// with budget.mu
	held   int64
	behind int64     // bytes that came since then
	since  time.Time // when the last stride was complete
	ended  bool
}

// Reader returns a reader of the body of a caller's request. It fails with ErrFull once the caller holds as much as
// they may, and if it is slow while others find no room.
func (b *Budget) Reader(w http.ResponseWriter, caller string, from io.Reader) *Reader {
	c := &Reader{from: from, budget: b, caller: caller, since: time.Now(), end: func() { endReading(w) }}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reading[c] = struct{}{}
	return c
}

func (c *Reader) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	fits := c.budget.shares.Take(c.caller, int64(n))
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	if !fits {
		delete(c.budget.reading, c)
		c.budget.endSlow(c.caller, int64(n))
		return 0, ErrFull
	}
	c.held += int64(n)
	if c.behind += int64(n); c.behind >= stride {
		c.behind, c.since = 0, time.Now()
	}
	if c.ended {
		return n, ErrFull
	}
	return n, err
}

// endSlow ends slow bodies when n more bytes of a caller are refused: all of them, or the caller's own if the caller
// has no room whatever others do.
func (b *Budget) endSlow(caller string, n int64) {
	own := b.shares.Exceeds(caller, n)
	for c := range b.reading {
		if c.held > 0 && time.Since(c.since) > patience && (!own || c.caller == caller) {
			delete(b.reading, c)
			c.ended = true
			c.end()
		}
	}
}

// arrived says that nothing more is read. It returns ErrFull if the body was ended.
func (c *Reader) arrived() error {
	c.budget.mu.Lock()
	defer c.budget.mu.Unlock()
	delete(c.budget.reading, c)
	if c.ended {
		return ErrFull
	}
	return nil
}

// ReadAll reads a body, but no more than so many bytes of it.
func (c *Reader) ReadAll(most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(c, most))
	if full := c.arrived(); full != nil {
		err = full
	}
	return text, err
}

// Release gives back what was read: nobody holds it any more.
func (c *Reader) Release() {
	_ = c.arrived()
	c.budget.shares.Give(c.caller, c.held)
	c.held = 0
}

// GiveUp prepares the answer to a request of whose body no more is read: the server is not to wait for the rest, and
// the connection, whose context ends with that, is not used again.
func GiveUp(w http.ResponseWriter) {
	endReading(w)
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
}

// endReading has what is read of a request end with an error.
func endReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a recorder of tests has none
}

// ReadForm reads the form of a caller's request, of at most so many bytes, for r.Form and r.PostForm. The form counts
// until release is called, also after an error.
func (b *Budget) ReadForm(w http.ResponseWriter, r *http.Request, caller string, most int64) (
	release func(), err error,
) {
	counted := b.Reader(w, caller, r.Body)
	body := r.Body
	r.Body = http.MaxBytesReader(w, struct {
		io.Reader
		io.Closer
	}{counted, body}, most)
	if err = r.ParseForm(); err == nil {
		if err = r.ParseMultipartForm(most); errors.Is(err, http.ErrNotMultipart) {
			err = nil
		}
	}
	if full := counted.arrived(); full != nil {
		err = full
	}
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
	case errors.Is(err, ErrFull):
		GiveUp(w)
		err = ErrFull
	case errors.Is(err, ErrStopping):
		GiveUp(w)
		err = ErrStopping
	case errors.Is(err, os.ErrDeadlineExceeded):
		GiveUp(w)
		err = ErrSlow
	case tooLarge:
		err = ErrTooLarge
	default:
		err = ErrNoForm
	}
	return counted.Release, err
}
