package access

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"time"
)

// rareReader reads an address of the issuer at most once in readPause, and answers from what it has read meanwhile.
// Each token of an unknown signature has the issuer's keys read again, and anybody may send such tokens.
type rareReader struct {
	mu   sync.Mutex
	kept map[string]keptAnswer // by address, of which there are few
}

type keptAnswer struct {
	at     time.Time
	header http.Header
	body   []byte
}

const (
	readPause     = time.Second
	maxIssuerBody = 4 << 20
)

// RoundTrip implements http.RoundTripper for requests without a body.
func (t *rareReader) RoundTrip(r *http.Request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	address := r.URL.String()
	kept, found := t.kept[address]
	if !found || time.Since(kept.at) > readPause {
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil || response.StatusCode != http.StatusOK {
			return response, err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, maxIssuerBody))
		if err != nil {
			return nil, err
		}
		kept = keptAnswer{time.Now(), response.Header, body}
		t.kept[address] = kept
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: kept.header.Clone(), Body: io.NopCloser(bytes.NewReader(kept.body)), ContentLength: int64(len(kept.body)), Request: r,
	}, nil
}
