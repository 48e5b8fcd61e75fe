package servers

import (
	"context"
	"fmt"
	"path/filepath"
)

var chromiumProgram = program{
	"chromium",
	[]string{
		"/usr/lib/chromium/chromium", "/usr/lib64/chromium-browser/chromium-browser", "/opt/google/chrome/chrome",
		"/Applications/Chromium.app/Contents/MacOS/Chromium", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
	},
	[]string{"chromium"},
	"apt-get install chromium, or brew install --cask chromium",
}

// Browser is a Chromium, with the environment that it needs.
type Browser struct {
	Path string
	Env  []string
}

// FindBrowser returns an installed Chromium, or one that it fetches once, without root.
func FindBrowser(ctx context.Context, cfg Config) (Browser, error) {
	found, err := chromiumProgram.find(ctx, cfg)
	if err != nil || found.root == "" {
		return Browser{Path: found.path}, err
	}
	fonts := found.root + "-fonts.conf"
	if err := WriteOwn(fonts, fmt.Sprintf(fontsConf, filepath.Join(found.root, "usr/share/fonts"))); err != nil {
		return Browser{}, fmt.Errorf("name the fonts of the browser: %w", err)
	}
	return Browser{found.path, []string{"LD_LIBRARY_PATH=" + libraryPath(found.root), "FONTCONFIG_FILE=" + fonts}}, nil
}

// fontsConf names the fonts that came with the browser beside those of the machine, which may have neither fonts nor
// a configuration of them. Without one, a page that asks for the font of the system would get any, such as one with
// serifs.
const fontsConf = `<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
<dir>%s</dir>
<dir>/usr/share/fonts</dir>
<cachedir prefix="xdg">fontconfig</cachedir>
<match target="pattern"><test name="family"><string>monospace</string></test>
<edit name="family" mode="append" binding="strong"><string>DejaVu Sans Mono</string></edit></match>
<match target="pattern">
<edit name="family" mode="append_last" binding="strong"><string>DejaVu Sans</string></edit></match>
</fontconfig>
`
