package servers

import "context"

var chromiumProgram = program{
	"chromium",
	[]string{"/usr/lib/chromium/chromium", "/usr/lib64/chromium-browser/chromium-browser", "/Applications/Chromium.app/Contents/MacOS/Chromium"},
	[]string{"chromium"},
	"apt-get install chromium, or brew install chromium",
}

// Browser is a Chromium, with the environment that it needs.
type Browser struct {
	Path string
	Env  []string
}

// FindBrowser returns an installed Chromium, or one that it fetches once, without root.
func FindBrowser(ctx context.Context, cfg Config) (Browser, error) {
	found, err := chromiumProgram.find(ctx, cfg)
	if err != nil {
		return Browser{}, err
	}
	b := Browser{Path: found.path}
	if found.root != "" {
		b.Env = []string{"LD_LIBRARY_PATH=" + libraryPath(found.root), "FONTCONFIG_PATH=" + found.root + "/etc/fonts"}
	}
	return b, nil
}
