package testenv_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestProcessOfATest(t *testing.T) {
	t.Parallel()
	api := testenv.Program{Env: []string{"DATABASE_URL=" + testenv.DatabaseURL(t)}}
	p := api.Start(t, "api", "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	p.Pause()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := http.DefaultClient.Do(request); err == nil {
		t.Errorf("a paused process answers %s", response.Status)
	}
	p.Resume()
	p.AwaitReady()
	if code := p.Stop(); code != 0 {
		t.Errorf("stopped with %d", code)
	}
	p = api.Start(t, "api", "--http-addr", "127.0.0.1:0")
	p.AwaitReady()
	p.Kill()
	if code := p.Wait(); code != -1 || !p.HasEnded() {
		t.Errorf("killed with %d", code)
	}
}

func TestProcessSeesOnlyTheSettingsOfItsTest(t *testing.T) {
	t.Setenv("DATABASE_URL", "postgres://127.0.0.1:1/nowhere")
	p := testenv.Program{}.Start(t, "api")
	if code := p.Wait(); code != 2 || !strings.Contains(p.Log(), "DATABASE_URL is not set") {
		t.Errorf("ended with %d: %s", code, p.Log())
	}
}

func TestBinaryIsBuiltOncePerTags(t *testing.T) {
	t.Parallel()
	plain, tagged := testenv.Binary(t, ""), testenv.Binary(t, "tactus_unused")
	if again := testenv.Binary(t, ""); plain == tagged || plain != again {
		t.Errorf("%s, %s, then %s", plain, tagged, again)
	}
	if info, err := os.Stat(tagged); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("not a program: %v %v", info, err)
	}
}
