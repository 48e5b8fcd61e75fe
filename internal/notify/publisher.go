package notify

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
)

// Publisher sends each message by an HTTP request of its own; its topics are URLs. The id of a message becomes the
// webhook-id. Its metadata has the method, the content type, the keys to sign with, and headers.
type Publisher struct{ client *http.Client }

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher returns a publisher that connects to public addresses and to those of the given networks.
func NewPublisher(private Private) *Publisher { return &Publisher{private.client()} }

// The metadata of messages.
const (
	metaMethod  = "method"
	metaType    = "content-type"
	metaKeys    = "keys"    // of a webhook, separated by spaces
	metaHeader  = "header:" // the prefix of a header's name
	contentJSON = "application/json"
)

// failure says why a destination did not take something.
type failure struct {
	why     string
	forGood bool          // the destination will never take it
	after   time.Duration // when to try again, as the destination says; 0 if it does not say
}

func (f *failure) Error() string { return f.why }

// Publish implements message.Publisher.
func (p *Publisher) Publish(address string, messages ...*message.Message) error {
	for _, m := range messages {
		if err := p.send(address, m); err != nil {
			return err
		}
	}
	return nil
}

// Close implements message.Publisher.
func (p *Publisher) Close() error {
	p.client.CloseIdleConnections()
	return nil
}

func (p *Publisher) send(address string, m *message.Message) error {
	method := m.Metadata[metaMethod]
	if method == "" {
		method = http.MethodPost
	}
	var body io.Reader
	if method != http.MethodGet {
		body = bytes.NewReader(m.Payload)
	}
	request, err := http.NewRequestWithContext(m.Context(), method, address, body)
	if err != nil {
		return &failure{why: "the address cannot be used", forGood: true}
	}
	p.headers(request, m)
	answer, err := p.client.Do(request)
	if err != nil {
		return &failure{why: why(err)}
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, mostAnswer)) // the body of the answer is ignored
	return judged(answer)
}

func (p *Publisher) headers(request *http.Request, m *message.Message) {
	request.Header.Set("User-Agent", "tactus")
	if request.Method != http.MethodGet {
		request.Header.Set("Content-Type", m.Metadata[metaType])
	}
	for name, value := range m.Metadata {
		if header, is := strings.CutPrefix(name, metaHeader); is {
			request.Header.Set(header, value)
		}
	}
	if keys := strings.Fields(m.Metadata[metaKeys]); len(keys) > 0 {
		now := time.Now().Unix()
		request.Header.Set("Webhook-Id", m.UUID)
		request.Header.Set("Webhook-Timestamp", strconv.FormatInt(now, 10))
		request.Header.Set("Webhook-Signature", signatures(keys, m.UUID, now, m.Payload))
	}
}

// signatures returns the signatures of a message by each key, in the scheme of Standard Webhooks.
func signatures(keys []string, id string, at int64, payload []byte) string {
	var all []string
	for _, secret := range keys {
		key, err := domain.WebhookKey(secret)
		if err != nil { // made by hand
			continue
		}
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%d.%s", id, at, payload)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}

// why returns the reason why a request failed. It contains neither the address, which is a secret, nor anything that
// the server has sent: the server may be one that does not speak HTTP, whose data the author of a rule must not be able
// to read.
func why(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		if u.Timeout() {
			return "it did not answer in time"
		}
		err = u.Err
	}
	if r, ok := errors.AsType[*refused](err); ok {
		return r.Error()
	}
	if n, ok := errors.AsType[*net.OpError](err); ok { // dial, read or write, and why; DNS errors among them
		return n.Error()
	}
	if c, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return c.Error()
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection without an answer"
	case errors.As(err, &tls.RecordHeaderError{}):
		return "it does not speak TLS"
	}
	return "its answer cannot be read: it is no HTTP"
}

// longestAfter limits the wait that a destination may ask for.
const longestAfter = time.Hour

// judged returns nil for an answer of 2xx, and otherwise a failure. After 410 and other statuses that blame the
// request, the failure is for good.
func judged(answer *http.Response) error {
	code := answer.StatusCode
	if code >= 200 && code < 300 {
		return nil
	}
	f := &failure{why: "it answers " + strconv.Itoa(code) + " " + http.StatusText(code)}
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
			f.after = min(time.Duration(seconds)*time.Second, longestAfter)
		}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound: // the destination may be mended
	default:
		f.forGood = code >= 400 && code < 500
	}
	return f
}
