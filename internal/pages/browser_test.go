package pages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// app is the worker's application. Its results and errors contain scripts, which pages must not execute.
const app = `
from celery import Celery
app = Celery("app")
app.conf.task_track_started = True
@app.task(name="app.answer")
def answer(**kwargs):
    return {"html": "<script>window.executed = 'result'</script><img src=x onerror=\"window.executed='result'\">"}
@app.task(name="app.raise")
def fail(**kwargs):
    raise ValueError("<script>window.executed = 'error'</script><img src=x onerror=\"window.executed='error'\">")
`

// stack is tactus with a worker, and a browser beside it.
type stack struct {
	url     string
	env     []string
	state   string
	process *testenv.Process
	browser context.Context
}

func newStack(t *testing.T) *stack {
	t.Helper()
	dir, err := testenv.Dir()
	if err != nil {
		t.Fatal(err)
	}
	broker := testenv.RedisServer(t, nil)
	s := &stack{state: filepath.Join(dir, "pages"), env: []string{"DATABASE_URL=" + testenv.DirectURL(t), "REDIS_URL=" + broker.URL(0), "TACTUS_NOTIFY_PRIVATE=127.0.0.0/8"}}
	s.start(t, "127.0.0.1:0")
	testenv.Worker(t, servers.CeleryConfig{App: app, BrokerURL: broker.URL(0), Args: []string{"--events"}})
	s.open(t)
	return s
}

func (s *stack) start(t *testing.T, address string) {
	t.Helper()
	s.process = testenv.Program{Env: s.env}.Start(t, "dev", "--state-dir", s.state, "--http-addr", address)
	s.process.AwaitReady()
	s.url = s.process.URL()
}

func (s *stack) open(t *testing.T) {
	t.Helper()
	found, err := servers.FindBrowser(t.Context(), servers.Config{Log: func(text string) { t.Log(text) }})
	if err != nil {
		t.Fatalf("find a browser: %v", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(found.Path),
		chromedp.NoSandbox, chromedp.Env(found.Env...), chromedp.WSURLReadTimeout(testenv.Patience))
	allocator, stop := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(stop)
	var end context.CancelFunc
	s.browser, end = chromedp.NewContext(allocator)
	t.Cleanup(end)
	if err := chromedp.Do(s.browser); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
}

// tab is a page in the browser that records its faults.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu     sync.Mutex
	faults []string
}

// tab opens a page. A fault is whatever its console reports, its policy refuses, or opens a dialog.
func (s *stack) tab(t *testing.T) *tab {
	t.Helper()
	ctx, end := chromedp.NewContext(s.browser)
	t.Cleanup(end)
	b := &tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *runtime.EventConsoleAPICalled:
			b.fault(fmt.Sprintf("console.%s", e.Type))
		case *runtime.EventExceptionThrown:
			b.fault("exception: " + e.ExceptionDetails.Text)
		case *log.EventEntryAdded:
			b.fault(fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		case *page.EventJavascriptDialogOpening:
			b.fault("a dialog opened: " + e.Message)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	b.do(call(log.Enable, cdp.Empty{}), call(emulation.SetTimezoneOverride, emulation.SetTimezoneOverrideParams{TimezoneID: "Asia/Tokyo"}))
	return b
}

func call[P, R any](command cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// inScheme has pages shown in a theme, as a device does that prefers it.
func inScheme(scheme string) chromedp.Action[chromedp.Void] {
	return call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
}

func (b *tab) fault(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults = append(b.faults, text)
}

// wentWrong returns the faults since the last call.
func (b *tab) wentWrong() (faults []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	faults, b.faults = b.faults, nil
	return faults
}

// do runs actions, each of which waits for the elements that it needs.
func (b *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, testenv.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// ask evaluates an expression, and awaits the promise that it returns.
func ask[T any](b *tab, expression string) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, testenv.Patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, func(p *runtime.EvaluateParams) { p.AwaitPromise = new(true) }))
	if err != nil {
		b.t.Fatalf("%.200s: %v", expression, err)
	}
	return value
}

// await waits until an expression is true.
func (b *tab) await(what, expression string) {
	b.t.Helper()
	testenv.Eventually(b.t, what, func() error {
		if value, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression)); err != nil || !value {
			return fmt.Errorf("%s is %v: %v", expression, value, err)
		}
		return nil
	})
}

// TestJourneysInABrowser goes through the pages as people do, with real servers and a worker that runs the tasks.
func TestJourneysInABrowser(t *testing.T) {
	t.Parallel()
	s := newStack(t)
	t.Run("the screenshots of the documentation", s.isShown)
	t.Run("a schedule that is made fires, and its result appears", s.makesAndWatches)
	t.Run("somebody is told what fails, by a rule that is made and tested", s.tells)
	t.Run("what fails is shown on every page, and no script of it runs", s.showsEveryPage)
	t.Run("several schedules are paused at once, and put back", s.pausesSeveral)
	t.Run("who has a key for reading reads, and changes nothing", s.logsIn)
	t.Run("the keyboard is enough", s.usesKeys)
	t.Run("two people edit one schedule", s.twoEdit)
	t.Run("a session that ends loses nothing", s.losesTheSession)
	t.Run("a database that is away comes back", s.losesTheDatabase)
	t.Run("a line that is lost comes back", s.losesTheLine)
}

func (s *stack) makesAndWatches(t *testing.T) {
	b := s.tab(t)
	b.do(chromedp.Navigate(s.url + "/schedules/new"))
	b.do(
		chromedp.SendKeys(chromedp.CSS("#f-name"), "made-here"),
		chromedp.Click(chromedp.CSS("[name=when][value=every]")),
		chromedp.SendKeys(chromedp.CSS("#f-interval_seconds"), "2"),
		chromedp.SendKeys(chromedp.CSS("#f-task_name"), "app.answer"),
	)
	b.await("the preview", `document.querySelector("#preview").innerText.includes("Every 2 seconds") && document.querySelectorAll("#preview time").length === 10`)
	b.do(chromedp.SendKeys(chromedp.CSS("#f-kwargs"), `{"a": `))
	b.await("the fault beside its field", `document.querySelector("#err-kwargs").innerText.includes("line 1")`)
	b.do(chromedp.SendKeys(chromedp.CSS("#f-kwargs"), `1}`))
	b.await("that it is gone", `document.querySelector("#err-kwargs").innerText === ""`)
	b.do(chromedp.Click(chromedp.CSS("button.main")))
	b.await("the schedule's page", `location.pathname.length > 40 && document.querySelector("h1").innerText === "made-here"`)
	ask[bool](b, `window.sameDocument = true`)
	b.await("a result, in the document that was loaded", `window.sameDocument === true && document.querySelector("#runs")?.innerText.includes("succeeded")`)
	b.await("the drawn history", `document.querySelector("#chart canvas") !== null`)
	ask[bool](b, `window.ran = document.querySelectorAll("#runs tbody tr").length, true`)
	b.await("later runs, and the history still drawn", `document.querySelectorAll("#runs tbody tr").length > window.ran + 1 && document.querySelector("#chart canvas") !== null`)
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/disable"] button`)))
	b.await("the way back", `document.querySelector(".done button")?.innerText === "Enable it again"`)
	b.do(chromedp.Click(chromedp.CSS(".done button")))
	b.await("that it is enabled again", `document.querySelector('form[action$="/disable"]') !== null && document.querySelector(".done")?.innerText.includes("Put back")`)
	if faults := b.wentWrong(); len(faults) > 0 {
		t.Error(faults)
	}
}

// tells makes a notification rule by the form, sees its secret once, sends a test, and is told of a run that fails. The
// pages about rules fit a phone.
func (s *stack) tells(t *testing.T) {
	told := make(chan string, 100)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		told <- r.Header.Get("Webhook-Signature") + " " + string(body)
	}))
	t.Cleanup(receiver.Close)
	b := s.tab(t)
	b.do(chromedp.Navigate(s.url + "/system/notifications/new"))
	b.do(
		chromedp.SendKeys(chromedp.CSS("[name=name]"), "on-call"),
		chromedp.SendKeys(chromedp.CSS("[name=names]"), "tells-*"),
		chromedp.Click(chromedp.CSS("button.main")),
	)
	b.await("the fault beside its field", `document.querySelector("#err-url")?.innerText.includes("say where it is sent")`)
	for _, scheme := range []string{"light", "dark"} {
		b.do(inScheme(scheme))
		for _, violation := range s.axe(b, scheme) {
			t.Errorf("a rule that is refused, %s: %s", scheme, violation)
		}
	}
	b.wentWrong() // the console tells of the 422
	b.do(chromedp.SendKeys(chromedp.CSS("[name=url]"), receiver.URL+"/hush"), chromedp.Click(chromedp.CSS("button.main")))
	b.await("its secret", `document.querySelector("#secret")?.innerText.startsWith("whsec_")`)
	b.do(chromedp.Click(chromedp.CSS("main a.button")))
	b.await("its page", `document.querySelector("h1")?.innerText === "on-call"`)
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/test"] button`)))
	b.await("what came of the test", `document.querySelector(".done")?.innerText.includes("The test:")`)
	testenv.Eventually(t, "that it was delivered", func() error {
		if !ask[bool](b, `fetch("/system/notifications/on-call").then(r => r.text()).then(t => t.includes("✓</span> delivered"))`) {
			return errors.New("it was not")
		}
		return nil
	})
	s.ran(t, `{"name":"tells-1","cron_expression":"0 0 1 1 *","task_name":"app.raise"}`, "failed")
	for failed := false; !failed; {
		select {
		case text := <-told:
			failed = strings.HasPrefix(text, "v1,") && strings.Contains(text, `"what":"failed"`) && strings.Contains(text, "tells-1")
		case <-time.After(testenv.Patience):
			t.Fatal("nobody was told")
		}
	}
	b.do(chromedp.Navigate(s.url + "/system/notifications/on-call"))
	b.do(chromedp.Click(chromedp.CSS(`form[action$="/pause"] button`)))
	b.await("that it is paused, and the way back", `document.querySelector(".done button")?.innerText === "Resume it"`)
	b.do(chromedp.Click(chromedp.CSS(".done button")))
	b.await("that it tells again", `document.querySelector('form[action$="/pause"]') !== null`)
	b.do(chromedp.EmulateViewport(360, 740))
	for _, address := range []string{"/system/notifications", "/system/notifications/on-call", "/system/notifications/new"} {
		b.do(chromedp.Navigate(s.url + address))
		b.await(address+" fits a phone", `document.readyState === "complete" && document.documentElement.scrollWidth <= 360`)
	}
	if faults := b.wentWrong(); len(faults) > 0 {
		t.Error(faults)
	}
}

// pausesSeveral ticks two schedules with the mouse and a key while the list is live, pauses them, and puts them back.
func (s *stack) pausesSeveral(t *testing.T) {
	for _, name := range []string{"several-1", "several-2", "several-3"} {
		s.api(t, "POST", "/schedules", `{"name":"`+name+`","cron_expression":"0 0 1 1 *","task_name":"app.answer","tags":["several"]}`)
	}
	b := s.tab(t)
	b.do(chromedp.Navigate(s.url + "/schedules?tag=several&order=name"))
	b.do(chromedp.Click(chromedp.CSS("tr[data-row]:nth-child(2) input[name=id]")))
	ask[bool](b, `document.activeElement.blur(), document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "j", bubbles: true})), document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "x", bubbles: true})), true`)
	b.await("the number of those that are ticked", `document.querySelector("#ticked").innerText === "2"`)
	s.api(t, "POST", "/schedules", `{"name":"several-4","cron_expression":"0 0 1 1 *","task_name":"app.answer","tags":["several"]}`)
	b.await("one more row, and the same ticks", `document.querySelectorAll("tr[data-row]").length === 4 && document.querySelector("#ticked").innerText === "2" && document.querySelectorAll("input[name=id]:checked").length === 2`)
	b.do(chromedp.Click(chromedp.CSS("#bulk [value=disable]")))
	b.await("the question", `document.querySelector("h1")?.innerText === "Pause 2 schedules?" && document.querySelector(".names").innerText.includes("several-2")`)
	b.do(chromedp.SendKeys(chromedp.CSS("[name=reason]"), "vendor down"), chromedp.Click(chromedp.CSS("form button.main")))
	b.await("what was done", `document.querySelector(".done")?.innerText.includes("Paused: 2 schedules.") && document.querySelector("#live").innerText.split("vendor down").length === 3`)
	b.do(chromedp.Click(chromedp.CSS(".done button")))
	b.await("that they are back", `document.querySelector(".done")?.innerText.includes("Enabled: 2 schedules.")`)
	if faults := b.wentWrong(); len(faults) > 0 {
		t.Error(faults)
	}
}

// api sends a request to the API.
func (s *stack) api(t *testing.T, method, path, body string) (answer map[string]any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		t.Fatalf("%s %s: %d %s, %v", method, path, response.StatusCode, text, err)
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// ran creates a schedule, triggers it, and waits until the run has a status.
func (s *stack) ran(t *testing.T, definition, status string) (schedule, run string) {
	t.Helper()
	schedule = s.api(t, http.MethodPost, "/schedules", definition)["id"].(string)
	run = s.api(t, http.MethodPost, "/schedules/"+schedule+"/trigger", "")["run_id"].(string)
	testenv.Eventually(t, "the run", func() error {
		if now := s.api(t, http.MethodGet, "/runs/"+run, "")["status"]; now != status {
			return fmt.Errorf("it is %v", now)
		}
		return nil
	})
	return schedule, run
}

func (s *stack) showsEveryPage(t *testing.T) {
	script, err := os.ReadFile("testdata/axe/axe.min.js")
	if err != nil {
		t.Fatal(err)
	}
	name, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	id, failed := s.ran(t, `{"name":`+string(name)+`,"cron_expression":"0 0 1 1 *","task_name":"app.raise","description":`+string(name)+`,"tags":[`+string(name)+`],"kwargs":{"x":`+string(name)+`}}`, "failed")
	_, answered := s.ran(t, `{"name":"answers","cron_expression":"0 0 1 1 *","task_name":"app.answer"}`, "succeeded")
	b := s.tab(t)
	for _, scheme := range []string{"light", "dark"} {
		b.do(inScheme(scheme))
		for _, address := range []string{
			"/", "/schedules?tag=" + url.QueryEscape(hostile), "/schedules/bulk?action=disable&which=all", "/schedules/bulk?action=retag&id=" + id, "/schedules/" + id, "/schedules/" + id + "/edit", "/schedules/" + id + "/delete", "/schedules/new",
			"/schedules", "/schedules/bulk?action=delete&which=all", "/runs", "/runs/bulk?action=cancel&id=" + failed, "/runs/bulk?action=rerun&which=all&state=failed",
			"/calendar", "/calendar?span=day", "/calendar?span=month", "/calendars", "/docs",
			"/runs?state=wrong", "/runs/" + failed, "/runs/" + answered, "/log", "/system", "/system/deadletters", "/system/keys", "/system/routes", "/system/routes/edit", "/system/notifications", "/system/notifications/new", "/system/notifications/on-call", "/system/moving?report=day", "/sessions", "/login",
		} {
			b.do(chromedp.Navigate(s.url + address))
			b.await("the whole page", `document.readyState === "complete"`)
			if executed := ask[bool](b, `"executed" in window`); executed {
				t.Errorf("%s: a script of a user ran", address)
			}
			if faults := b.wentWrong(); len(faults) > 0 {
				t.Errorf("%s, %s: %q", address, scheme, faults)
			}
			for _, violation := range ask[[]string](b, string(script)+axeRuns[scheme]) {
				t.Errorf("%s, %s: %s", address, scheme, violation)
			}
			b.wentWrong() // axe may say something on the console
		}
	}
}

// axeRuns are the rules that axe checks: all of them in one theme, and those about colours in the other one.
var axeRuns = map[string]string{
	"light": `;axe.run(document, {resultTypes: ["violations"]})` + axeSays,
	"dark":  `;axe.run(document, {resultTypes: ["violations"], runOnly: ["color-contrast", "link-in-text-block"]})` + axeSays,
}

const axeSays = `.then(r => r.violations.map(v => v.id + ": " + v.nodes.map(n => n.html.slice(0, 200) + " " + n.failureSummary).join(" | ")))`

// losesTheLine stops the server while a page is open, and starts it again.
func (s *stack) losesTheLine(t *testing.T) {
	b := s.tab(t)
	b.do(chromedp.Navigate(s.url + "/schedules"))
	s.process.Kill()
	b.await("that it is told", `!document.querySelector("#lost").hidden`)
	s.start(t, strings.TrimPrefix(s.url, "http://"))
	s.api(t, http.MethodPost, "/schedules", `{"name":"made-meanwhile","cron_expression":"0 0 1 1 *","task_name":"app.answer"}`)
	b.await("that it is back, with what is new", `document.querySelector("#lost").hidden && document.querySelector("#live").innerText.includes("made-meanwhile")`)
}
