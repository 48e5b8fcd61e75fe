package celery_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/servers"
)

const plainResult = `{"status":"SUCCESS","result":"値","task_id":"t"}`

// TestParseResultCompressed decodes results that kombu's own compressors have compressed.
func TestParseResultCompressed(t *testing.T) {
	t.Parallel()
	python, err := servers.CeleryPython(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"gzip", "zlib", "bzip2"} {
		cmd := python.Command(t.Context(), "-c", `
import base64, sys
from kombu.compression import compress
print(base64.b64encode(compress(sys.stdin.buffer.read(), sys.argv[1])[0]).decode())`, method)
		cmd.Stdin = strings.NewReader(plainResult)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		packed, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(out)))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := celery.ParseResult(packed); err != nil || string(r.Value) != `"値"` {
			t.Errorf("%s: %+v, %v", method, r, err)
		}
	}
	if r, err := celery.ParseResult(pack(t, plainResult, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })); err != nil || r.TaskID != "t" {
		t.Errorf("real gzip: %+v, %v", r, err)
	}
}

func TestParseResultRefusesBadCompression(t *testing.T) {
	t.Parallel()
	packed := pack(t, plainResult, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	bomb := pack(t, strings.Repeat(" ", 80<<20), func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
	for name, text := range map[string][]byte{
		"cut off": packed[:len(packed)-6], "zstd": {0x28, 0xb5, 0x2f, 0xfd, 0}, "lzma": {0xfd, '7', 'z', 'X', 'Z', 0}, "a bomb": bomb,
	} {
		if r, err := celery.ParseResult(text); err == nil || !strings.Contains(err.Error(), "decompress") {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

func pack(t *testing.T, text string, method func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var b bytes.Buffer
	w := method(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
