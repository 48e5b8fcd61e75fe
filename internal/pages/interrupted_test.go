package pages_test

import (
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// losesTheDatabase cuts a server off its database while a page is open. What is shown stays, is said to be old, and is
// made anew when the database is back.
func (s *stack) losesTheDatabase(t *testing.T) {
	proxy, database := testenv.Through(t, strings.TrimPrefix(s.env[0], "DATABASE_URL="))
	alone := testenv.Program{Env: []string{"DATABASE_URL=" + database, "TACTUS_AUTH=none"}}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	alone.AwaitReady()
	b := s.tab(t)
	s.api(t, http.MethodPost, "/schedules", `{"name":"made-before","cron_expression":"0 0 1 1 *","task_name":"app.answer"}`)
	b.do(chromedp.Navigate(alone.URL() + "/schedules?q=made"))
	b.await("the list", `document.querySelector("#live").innerText.includes("made-before")`)
	proxy.Refuse()
	b.await("that it is told", `!document.querySelector("#lost").hidden && document.querySelector("#lost").innerText.includes("may be old")`)
	if !ask[bool](b, `document.querySelector("#live").innerText.includes("made-before")`) {
		t.Error("what was shown is gone")
	}
	proxy.Heal()
	s.api(t, http.MethodPost, "/schedules", `{"name":"made-since","cron_expression":"0 0 1 1 *","task_name":"app.answer"}`)
	b.await("that it is back, with what is new", `document.querySelector("#lost").hidden && document.querySelector("#live").innerText.includes("made-since")`)
}

// losesTheSession revokes the key of somebody who has a list open, and a form with something typed. The list leads to
// the login, and what was typed is sent after it.
func (s *stack) losesTheSession(t *testing.T) {
	guarded := testenv.Program{Env: append(slices.Clone(s.env), "TACTUS_AUTH=keys")}.Start(t, "api", "--http-addr", "127.0.0.1:0")
	guarded.AwaitReady()
	b, form := s.tab(t), s.tab(t)
	login := func(name string) {
		t.Helper()
		b.do(chromedp.SendKeys(chromedp.CSS("[name=key]"), s.newKey(t, name, "write")), chromedp.Click(chromedp.CSS("button.main")))
	}
	b.do(chromedp.Navigate(guarded.URL() + "/schedules"))
	login("leaves")
	b.await("the list", `location.pathname === "/schedules" && document.querySelector("footer").innerText.includes("leaves (write)")`)
	form.do(chromedp.Navigate(guarded.URL() + "/schedules/new"))
	form.do(
		chromedp.SendKeys(chromedp.CSS("#f-name"), "typed-before"), chromedp.SendKeys(chromedp.CSS("#f-cron_expression"), "0 0 1 1 *"),
		chromedp.SendKeys(chromedp.CSS("#f-task_name"), "app.answer"),
	)
	cmd := exec.CommandContext(t.Context(), testenv.Binary(t, ""), "key", "revoke", "leaves")
	cmd.Env = append(os.Environ(), s.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("revoke the key: %v: %s", err, out)
	}
	b.await("the login, and the list after it", `location.pathname === "/login" && location.search.includes("next=%2Fschedules")`)
	form.do(chromedp.Click(chromedp.CSS(".editor button.main")))
	form.await("that nothing is lost", `document.querySelector("h1")?.innerText === "Your session has ended"`)
	login("comes")
	b.await("the list again", `location.pathname === "/schedules" && document.querySelector("footer").innerText.includes("comes (write)")`)
	form.do(chromedp.Click(chromedp.CSS("main button.main")))
	form.await("what was typed, stored", `document.querySelector("h1")?.innerText === "typed-before" && location.pathname.length > 40`)
}

// twoEdit has two people edit one schedule. Who saves last sees both versions, and nothing typed is lost.
func (s *stack) twoEdit(t *testing.T) {
	id := s.api(t, http.MethodPost, "/schedules", `{"name":"edited","cron_expression":"0 9 * * *","task_name":"app.answer"}`)["id"].(string)
	first, second := s.tab(t), s.tab(t)
	for _, b := range []*tab{first, second} {
		b.do(chromedp.Navigate(s.url + "/schedules/" + id + "/edit"))
	}
	first.do(chromedp.SendKeys(chromedp.CSS("#f-description"), "of the first"), chromedp.Click(chromedp.CSS(".editor button.main")))
	first.await("that it is saved", `document.querySelector(".done")?.innerText.includes("Saved.")`)
	second.do(chromedp.SendKeys(chromedp.CSS("#f-description"), "of the second"), chromedp.Click(chromedp.CSS(".editor button.main")))
	second.await("both versions", `document.querySelector(".conflict")?.innerText.includes("of the first") && document.querySelector(".conflict").innerText.includes("of the second")`)
	if typed := ask[string](second, `document.querySelector("#f-description").value`); typed != "of the second" {
		t.Errorf("what was typed became %q", typed)
	}
	for _, scheme := range []string{"light", "dark"} {
		second.do(inScheme(scheme))
		for _, violation := range s.axe(second, scheme) {
			t.Errorf("a conflict, %s: %s", scheme, violation)
		}
	}
	second.wentWrong() // the console tells of the 412
	second.do(chromedp.Click(chromedp.CSS(".editor button.main")))
	second.await("that it is saved", `document.querySelector(".done")?.innerText.includes("Saved.")`)
	first.await("the other's, without a reload", `document.querySelector("#live").innerText.includes("of the second")`)
	for _, b := range []*tab{first, second} {
		if faults := b.wentWrong(); len(faults) > 0 {
			t.Error(faults)
		}
	}
}

// usesKeys finds a schedule, goes through the list and opens one without a mouse.
func (s *stack) usesKeys(t *testing.T) {
	for _, name := range []string{"keys-1", "keys-2", "keys-3"} {
		s.api(t, http.MethodPost, "/schedules", `{"name":"`+name+`","cron_expression":"0 0 1 1 *","task_name":"app.answer"}`)
	}
	b := s.tab(t)
	press := func(key string) { b.do(chromedp.KeyEvent(key)) }
	b.do(chromedp.Navigate(s.url + "/schedules?order=name"))
	b.await("the whole page", `document.readyState === "complete" && document.querySelector("tr[data-row]") !== null`)
	press("/")
	b.await("the search", `document.activeElement.id === "q"`)
	ask[bool](b, `document.activeElement.value = "", true`) // the protocol types what the page has prevented
	b.do(chromedp.SendKeys(chromedp.CSS("#q"), "keys-"))
	b.await("what was searched for", `document.querySelectorAll("tr[data-row]").length === 3 && location.search.includes("q=keys-")`)
	press("\u001b")
	for _, key := range []string{"j", "j", "j", "k"} {
		press(key)
	}
	b.await("the row", `document.activeElement.innerText === "keys-2" && document.querySelector("tr.at").innerText.includes("keys-2")`)
	press("?")
	b.await("the list of keys", `document.querySelector("#keys").open`)
	press("\u001b")
	b.await("that it is closed", `!document.querySelector("#keys").open`)
	press("\r")
	b.await("the page of the schedule", `document.querySelector("h1")?.innerText === "keys-2" && location.pathname.length > 40`)
	press("g")
	press("l")
	b.await("the log", `location.pathname === "/log" && document.readyState === "complete"`)
	b.do(chromedp.SendKeys(chromedp.CSS("[name=actor]"), "nobody"))
	ask[bool](b, `document.activeElement.blur(), true`)
	b.await("the address of what was chosen", `location.search === "?actor=nobody" && document.querySelectorAll(".changes > li").length === 0`)
	b.do(chromedp.Navigate(s.url + "/log"))
	b.await("the whole log", `document.readyState === "complete" && document.querySelector(".changes > li") !== null`)
	press("j")
	b.await("its first change", `document.querySelector(".changes > li").classList.contains("at")`)
	if faults := b.wentWrong(); len(faults) > 0 {
		t.Error(faults)
	}
}
