package servers_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/servers"
)

// TestBrowserRunsScripts has a browser, and the one of the cache as on a machine that has none, open a page.
func TestBrowserRunsScripts(t *testing.T) {
	t.Parallel()
	for name, ignore := range map[string]bool{"installed": false, "from cache": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := config(t)
			cfg.IgnoreInstalled = ignore
			browser, err := servers.FindBrowser(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			page := filepath.Join(t.TempDir(), "page.html")
			script := `<body><script>document.body.textContent = "computed " + 6 * 7</script>`
			if err := os.WriteFile(page, []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), browser.Path, "--headless", "--no-sandbox", "--disable-gpu",
				"--user-data-dir="+t.TempDir(), "--dump-dom", "file://"+page)
			cmd.Env = append(os.Environ(), browser.Env...)
			out, err := cmd.Output()
			if err != nil || !strings.Contains(string(out), "<body>computed 42") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
