package celery

import (
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
)

// maxInflated bounds what a compressed result may become, in bytes.
const maxInflated = 64 << 20

// inflate decompresses a result. It recognizes the compression by the first bytes, which no JSON text begins with.
// kombu's "gzip" is zlib's format. For formats that Go cannot read (zstd, brotli, lzma) the error names the format.
func inflate(text []byte) ([]byte, error) {
	var r io.Reader
	var err error
	switch {
	case bytes.HasPrefix(text, []byte{0x1f, 0x8b}):
		r, err = gzip.NewReader(bytes.NewReader(text))
	case isZlib(text):
		r, err = zlib.NewReader(bytes.NewReader(text))
	case bytes.HasPrefix(text, []byte("BZh")):
		r = bzip2.NewReader(bytes.NewReader(text))
	case bytes.HasPrefix(text, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		err = errors.New("zstd is not read: use gzip")
	case bytes.HasPrefix(text, []byte{0xfd, '7', 'z', 'X', 'Z'}):
		err = errors.New("lzma is not read: use gzip")
	default:
		return text, nil
	}
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	inflated, err := io.ReadAll(io.LimitReader(r, maxInflated+1))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(inflated) > maxInflated {
		return nil, fmt.Errorf("decompress: more than %d bytes", maxInflated)
	}
	return inflated, nil
}

// isZlib reports whether a text begins with the header of RFC 1950: the method, and a checksum over both bytes.
func isZlib(text []byte) bool {
	return len(text) > 2 && text[0]&0x0f == 8 && (int(text[0])<<8|int(text[1]))%31 == 0
}
