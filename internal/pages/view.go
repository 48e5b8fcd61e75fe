package pages

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/zone"
	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
)

//go:embed templates
var templateFiles embed.FS

// view is a request as its page sees it.
type view struct {
	*site
	w http.ResponseWriter
	r *http.Request

	Lang  string // "en" or "ja"
	Theme string // "light", "dark", or empty for the browser's own
	Zone  *time.Location
	Now   time.Time

	self string // the address of the page that is shown, if it is not the one requested
}

// frame is what the layout shows around a page.
type frame struct {
	*view
	Page   string // the name of the template
	Data   any
	Status int
}

// The cookies that hold preferences. They hold no secrets.
const (
	langCookie  = "tactus_lang"
	themeCookie = "tactus_theme"
	zoneCookie  = "tactus_zone"
)

func (s *site) viewOf(w http.ResponseWriter, r *http.Request) *view {
	v := &view{site: s, w: w, r: r, Lang: langOf(r), Theme: cookie(r, themeCookie), Now: time.Now()}
	if v.Theme != "light" && v.Theme != "dark" {
		v.Theme = ""
	}
	if location, err := zone.Load(cookie(r, zoneCookie)); err == nil && cookie(r, zoneCookie) != "" {
		v.Zone = location
	}
	return v
}

func cookie(r *http.Request, name string) string {
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// langOf returns the language that the viewer chose, or else the first of the browser's languages that the pages have.
func langOf(r *http.Request) string {
	switch chosen := cookie(r, langCookie); chosen {
	case "en", "ja":
		return chosen
	}
	for tag := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		switch tag = strings.ToLower(strings.TrimSpace(tag)); {
		case strings.HasPrefix(tag, "ja"):
			return "ja"
		case strings.HasPrefix(tag, "en"):
			return "en"
		}
	}
	return "en"
}

// preferences stores the language or theme that a form chose in a cookie, and redirects to the page.
func (s *site) preferences(w http.ResponseWriter, r *http.Request) {
	release, err := s.Bodies.ReadForm(w, r, access.Client(r), bodies.SmallForm)
	defer release()
	if err != nil {
		s.viewOf(w, r).fail(err)
		return
	}
	for name, choices := range map[string][]string{langCookie: {"en", "ja"}, themeCookie: {"light", "dark", "auto"}} {
		for _, choice := range choices {
			if r.FormValue(name) == choice {
				http.SetCookie(w, &http.Cookie{
					Name: name, Value: choice, Path: "/", MaxAge: 365 * 24 * 3600, SameSite: http.SameSiteLaxMode, HttpOnly: true,
				})
			}
		}
	}
	http.Redirect(w, r, local(r.FormValue("back")), http.StatusSeeOther)
}

// local returns an address of this server unchanged, and "/" for any other.
func local(address string) string {
	if !access.LocalPath(address) {
		return "/"
	}
	return address
}

// templates are parsed once for each language, so that the function T of a template knows its language.
var templates = map[string]*template.Template{"en": parse("en"), "ja": parse("ja")}

func parse(lang string) *template.Template {
	t := template.New("").Funcs(template.FuncMap{
		"t":     func(text string, args ...any) string { return translate(lang, text, args...) },
		"asset": assetAddress,
		"lang":  func() string { return lang },
		"state": func(status domain.RunStatus) state { return stateOf(lang, status) },
		"took":  func(d time.Duration) string { return took(lang, d) },
		"count": func(n int64) string { return count(n) },
		"list":  func(items ...any) []any { return items },
	})
	return template.Must(t.ParseFS(templateFiles, "templates/*.html"))
}

// T translates a text.
func (v *view) T(text string, args ...any) string { return translate(v.Lang, text, args...) }

// room is a page in the navigation.
type room struct{ Address, Name string }

// rooms are the pages for everybody.
var rooms = []room{{"/runs", "Runs"}, {"/calendar", "Calendar"}, {"/log", "Log"}, {"/system", "System"}}

// systemPages are the pages about the installation, each with its permit.
var systemPages = []struct {
	room
	permit access.Permit
}{
	{room{"/system", "System"}, mayReadAll},
	{room{"/system/deadletters", "Dead letters"}, mayReadAll},
	{room{"/system/routes", "Routes"}, mayReadRoutes},
	{room{"/system/notifications", "Notifications"}, mayReadRules},
	{room{"/system/moving", "Moving in"}, mayReadAll},
	{room{"/system/keys", "API keys"}, mayRunAll},
}

// SystemPages returns the pages about the installation that the viewer may see.
func (v *view) SystemPages() (all []room) {
	for _, p := range systemPages {
		if p.permit.Demand(v.ctx()) == nil {
			all = append(all, p.room)
		}
	}
	return all
}

// Path returns the path of the page, without the query.
func (v *view) Path() string {
	path, _, _ := strings.Cut(v.Self(), "?")
	return path
}

// Rooms returns the pages of the navigation.
func (v *view) Rooms() []room { return rooms }

// onceTold are the parameters that say what the previous action did. app.js has the same list.
var onceTold = []string{"did", "run", "name", "action", "done", "same", "group"}

// Self returns the address of the page without the parameters about the previous action.
func (v *view) Self() string {
	if v.self != "" {
		return v.self
	}
	query := v.r.URL.Query()
	for _, once := range onceTold {
		query.Del(once)
	}
	if len(query) == 0 {
		return v.r.URL.EscapedPath()
	}
	return v.r.URL.EscapedPath() + "?" + query.Encode()
}

// Is reports whether the page is a room, or below it.
func (v *view) Is(room string) bool {
	return v.r.URL.Path == room || room != "/" && strings.HasPrefix(v.r.URL.Path, room+"/")
}

func (v *view) ctx() context.Context { return v.r.Context() }

// render responds with a page. It sends nothing of a page that fails.
func (v *view) render(status int, name string, data any) {
	plain, err := v.execute(status, name, data)
	if err != nil {
		v.unmade(name, err)
		return
	}
	var zipped []byte
	if v.takesGzip() {
		zipped = zip(plain)
	}
	v.sendPage(status, plain, zipped)
}

func (v *view) execute(status int, name string, data any) ([]byte, error) {
	var out bytes.Buffer
	err := templates[v.Lang].ExecuteTemplate(&out, name, frame{v, name, data, status})
	return out.Bytes(), err
}

func (v *view) unmade(name string, err error) {
	v.Log.Error("render page", "page", name, "err", err)
	http.Error(v.w, v.T("This page could not be made."), http.StatusInternalServerError)
}

func (v *view) takesGzip() bool { return strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") }

// sendPage sends a page, compressed if it is given so.
func (v *view) sendPage(status int, plain, zipped []byte) {
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, Accept-Language")
	if zipped != nil {
		h.Set("Content-Encoding", "gzip")
	}
	v.sendStatus(status, plain, zipped)
}

func (v *view) sendStatus(status int, plain, zipped []byte) {
	v.w.Header().Add("Vary", "Accept-Encoding")
	if zipped != nil {
		plain = zipped
	}
	v.w.Header().Set("Content-Length", fmt.Sprint(len(plain)))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(plain) // the client may be gone
}

// redirect redirects to an address of this server.
func (v *view) redirect(address string) error {
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
	return nil
}

// statuses maps the kind of an error to its HTTP status.
var statuses = map[domain.Kind]int{
	domain.Invalid: http.StatusUnprocessableEntity, domain.NotFound: http.StatusNotFound, domain.Conflict: http.StatusConflict,
	domain.Stale: http.StatusPreconditionFailed, domain.TooLarge: http.StatusRequestEntityTooLarge,
	domain.Unauthenticated: http.StatusUnauthorized, domain.Forbidden: http.StatusForbidden,
	domain.Busy: http.StatusServiceUnavailable,
}

// problem is what an error page shows.
type problem struct {
	Title  string
	Faults domain.Faults
}

// fail responds with an error page.
func (v *view) fail(err error) {
	if faults := domain.FaultsOf(err); faults != nil {
		status := statuses[faults[0].Kind]
		if bodies.Passes(err) {
			status = http.StatusServiceUnavailable
		}
		if status == http.StatusUnauthorized && v.r.Method == http.MethodGet {
			v.toLogin()
			return
		}
		v.render(status, "problem", problem{v.T(http.StatusText(status)), v.translated(faults)})
		return
	}
	if !errors.Is(err, context.Canceled) {
		v.Log.Error("page failed", "path", v.r.URL.Path, "err", err)
	}
	v.w.Header().Set("Retry-After", "1")
	v.render(http.StatusServiceUnavailable, "problem", problem{v.T("The database did not answer as it should"), domain.Faults{{
		Code: "unavailable", Message: v.T("Nothing was changed by a request that did not commit. Try again; if it lasts, look at the log of tactus."),
	}}})
}

// translated returns faults with those messages translated that the pages have words for.
func (v *view) translated(faults domain.Faults) (all domain.Faults) {
	for _, f := range faults {
		said := *f
		said.Message = v.T(f.Message)
		all = append(all, &said)
	}
	return all
}
