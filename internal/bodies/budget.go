// Package bodies bounds what the bodies of requests hold together in a process, whoever reads them: the API, the pages,
// and the logins.
package bodies

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/tactus-dev/tactus/domain"
)

// Most is the most bytes of bodies that a process holds together.
const Most = 64 << 20

// SmallForm is the most bytes of a form that anybody may send: a key, or the address of a page.
const SmallForm = 4 << 10

// Budget counts the bytes of bodies that are held.
type Budget struct {
	held atomic.Int64
	most int64
}

// NewBudget returns a budget of so many bytes.
func NewBudget(most int64) *Budget { return &Budget{most: most} }

// Why a body is not read. ErrFull passes by itself, and is answered 503.
var (
	ErrFull     = &domain.Error{Code: "bodies_too_large", Message: "the bodies of the requests in work are as large as they may be together: try again"}
	ErrTooLarge = &domain.Error{Kind: domain.TooLarge, Code: "payload_too_large", Message: "the form holds more than is taken: leave some of it out"}
	ErrNoForm   = &domain.Error{Kind: domain.Invalid, Code: "form_invalid", Message: "the body is no form: send it as application/x-www-form-urlencoded"}
)

// Reader counts what is read among all bodies, until it is released.
type Reader struct {
	from   io.Reader
	budget *Budget
	held   int64
}

// Reader returns a reader of a body that fails with ErrFull once all bodies hold more than the budget has.
func (b *Budget) Reader(from io.Reader) *Reader { return &Reader{from: from, budget: b} }

func (c *Reader) Read(into []byte) (int, error) {
	n, err := c.from.Read(into)
	c.held += int64(n)
	if c.budget.held.Add(int64(n)) > c.budget.most {
		return n, ErrFull
	}
	return n, err
}

// Release gives back what was read: nobody holds it any more.
func (c *Reader) Release() {
	c.budget.held.Add(-c.held)
	c.held = 0
}

// GiveUp prepares the answer to a request of whose body no more is read: the server is not to wait for the rest, and
// the connection, whose context ends with that, is not used again.
func GiveUp(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a recorder of tests has none
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
}

// ReadForm reads the form of a request, of at most so many bytes, for r.Form and r.PostForm. The form counts until
// release is called, also after an error.
func (b *Budget) ReadForm(w http.ResponseWriter, r *http.Request, most int64) (release func(), err error) {
	counted := b.Reader(r.Body)
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
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
	case errors.Is(err, ErrFull):
		GiveUp(w)
		err = ErrFull
	case tooLarge:
		err = ErrTooLarge
	default:
		err = ErrNoForm
	}
	return counted.Release, err
}
