package pages

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed assets vendored
var files embed.FS

// asset is a file that pages load. Its name contains a hash of its content, so browsers may cache it for ever.
type asset struct {
	name, contentType string
	plain, zipped     []byte
}

// made returns the assets by the names that templates use. Each asset joins several files, to save requests.
var made = sync.OnceValue(func() map[string]asset {
	all := map[string]asset{}
	for name, parts := range map[string][]string{
		"app.css":   {"assets/app.css"},
		"app.js":    {"vendored/htmx/htmx.min.js", "assets/app.js"},
		"chart.css": {"vendored/uplot/uPlot.min.css"},
		"chart.js":  {"vendored/uplot/uPlot.iife.min.js", "assets/chart.js"},
		"icon.svg":  {"assets/icon.svg"},
	} {
		all[name] = makeAsset(name, parts)
	}
	return all
})

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
}

func makeAsset(name string, parts []string) asset {
	var text bytes.Buffer
	for _, part := range parts {
		content, err := files.ReadFile(part)
		if err != nil {
			panic(err) // it is embedded, and a wrong name fails every test
		}
		text.Write(content)
		text.WriteString("\n")
	}
	sum := sha256.Sum256(text.Bytes())
	ext := path.Ext(name)
	return asset{
		name:        fmt.Sprintf("%s-%x%s", strings.TrimSuffix(name, ext), sum[:6], ext),
		contentType: contentTypes[ext], plain: text.Bytes(), zipped: zip(text.Bytes()),
	}
}

// zip compresses a text with gzip.
func zip(text []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(text) // a buffer in memory does not fail
	_ = w.Close()
	return out.Bytes()
}

func assetAddress(name string) string { return "/assets/" + made()[name].name }

func serveAsset(w http.ResponseWriter, r *http.Request) {
	for _, a := range made() {
		if a.name == r.PathValue("name") {
			w.Header().Set("Content-Type", a.contentType)
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			send(w, r, a.plain, a.zipped)
			return
		}
	}
	http.NotFound(w, r)
}

// send writes a text, compressed if the client accepts gzip.
func send(w http.ResponseWriter, r *http.Request, plain, zipped []byte) {
	w.Header().Add("Vary", "Accept-Encoding")
	if zipped != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		plain = zipped
	}
	w.Header().Set("Content-Length", fmt.Sprint(len(plain)))
	_, _ = w.Write(plain) // the client may be gone
}
