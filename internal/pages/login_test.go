package pages_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// newKey creates a key by the command that the login page names.
func (s *stack) newKey(t *testing.T, name, role string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.Binary(t, ""), "key", "create", name, "--role="+role)
	cmd.Env = append(os.Environ(), s.env...)
	key, err := cmd.Output()
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	return strings.TrimSpace(string(key))
}

// logsIn logs in through the guard of tactus api, with a wrong key and with one that may only read.
func (s *stack) logsIn(t *testing.T) {
	id := s.api(t, "POST", "/schedules", `{"name":"guarded","cron_expression":"0 0 1 1 *","task_name":"app.answer"}`)["id"].(string)
	guarded := testenv.Program{Env: append(slices.Clone(s.env), "TACTUS_AUTH=keys")}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	guarded.AwaitReady()
	address := guarded.URL()
	b := s.tab(t)
	login := func(key string) {
		t.Helper()
		b.do(chromedp.SendKeys(chromedp.CSS("[name=key]"), key), chromedp.Click(chromedp.CSS("button.main")))
	}

	b.do(chromedp.Navigate(address + "/schedules/" + id))
	b.await("the question for a key", `location.pathname === "/login"`)
	login("tactus_wrong")
	b.await("the refusal", `document.querySelector("#refused")?.innerText.includes("This key is not good")`)
	login(s.newKey(t, "reader", "read"))
	b.await("the page that was asked for", `location.pathname === "/schedules/`+id+`" && document.querySelector("h1")?.innerText === "guarded"`)
	b.await("who reads it", `document.querySelector("footer").innerText.includes("reader (read)")`)
	for _, path := range []string{"/schedules/" + id, "/schedules", "/runs", "/log", "/"} {
		b.do(chromedp.Navigate(address + path))
		b.await("the whole page", `document.readyState === "complete" && location.pathname === "`+path+`"`)
		offered := ask[[]string](b, `[...document.querySelectorAll("form[method=post]")].map(f => f.getAttribute("action"))`)
		if !slices.Equal(offered, []string{"/preferences", "/logout"}) {
			t.Errorf("%s offers %q to somebody who may read", path, offered)
		}
		if offered := ask[int](b, `document.querySelectorAll('main a[href$="/new"], main a[href$="/edit"], main a[href$="/delete"]').length`); offered > 0 {
			t.Errorf("%s leads to %d forms that would be refused", path, offered)
		}
	}
	b.do(chromedp.Click(chromedp.CSS(`form[action="/logout"] button`)))
	b.await("the end of the session", `location.pathname === "/login"`)
	b.do(chromedp.Navigate(address + "/schedules"))
	b.await("the question for a key again", `location.pathname === "/login"`)
	login(s.newKey(t, "boss", "admin"))
	b.await("the list", `location.pathname === "/schedules"`)
	s.issues(b, address)
	if faults := b.wentWrong(); len(faults) > 0 {
		t.Error(faults)
	}
}

// issues creates a key, revokes it, and ends its own session, as an admin does.
func (s *stack) issues(b *tab, address string) {
	b.do(chromedp.Navigate(address + "/system/keys"))
	b.do(chromedp.SendKeys(chromedp.CSS("main [name=name]"), "deploy"), chromedp.Click(chromedp.CSS("main button.main")))
	b.await("the key, this once", `document.querySelector("#secret")?.innerText.startsWith("tactus_")`)
	for _, violation := range s.axe(b, "light") {
		b.t.Errorf("a new key: %s", violation)
	}
	b.do(chromedp.Click(chromedp.CSS("main a.button")))
	b.await("its page, without the key", `document.querySelector("h1").innerText === "deploy" && document.querySelector("#secret") === null`)
	for _, violation := range s.axe(b, "light") {
		b.t.Errorf("a key: %s", violation)
	}
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/revoke"] button`)))
	b.await("that it is revoked", `document.querySelector(".sum").innerText.includes("revoked")`)
	b.do(chromedp.Navigate(address + "/sessions"))
	b.await("this session", `document.querySelector("main").innerText.includes("this one")`)
	b.do(chromedp.Click(chromedp.CSS(`main form button`)))
	b.await("the end of it", `location.pathname === "/login"`)
}

// axe returns the violations on a page in a theme.
func (s *stack) axe(b *tab, scheme string) []string {
	script, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		b.t.Fatal(err)
	}
	violations := ask[[]string](b, string(script)+axeRuns[scheme])
	b.wentWrong() // axe may say something on the console
	return violations
}
