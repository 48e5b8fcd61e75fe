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

// view is one request, as its page sees it.
type view struct {
	*site
	w http.ResponseWriter
	r *http.Request

	Lang  string // "en" or "ja"
	Theme string // "light", "dark", or empty for the browser's
	Zone  *time.Location
	Now   time.Time

	self string // the address of the page, if the request went to another one
}

// frame is what the layout shows around a page.
type frame struct {
	*view
	Page   string // the name of the template
	Data   any
	Status int
}

// The cookies that hold preferences. Nothing secret is in them.
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

// langOf is the language that was chosen, or else the first of the browser's that there is.
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

// preferences keeps the language or the theme that a form chose, and returns to the page.
func (s *site) preferences(w http.ResponseWriter, r *http.Request) {
	release, err := s.Bodies.ReadForm(w, r, bodies.SmallForm)
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

// local is an address of this server, or its first page.
func local(address string) string {
	if !access.LocalPath(address) {
		return "/"
	}
	return address
}

// templates are parsed once a language, so that every word of them is looked up by the language alone.
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

// rooms are the pages beside those that every process has.
var rooms = []room{{"/runs", "Runs"}, {"/calendar", "Calendar"}, {"/log", "Log"}, {"/system", "System"}}

// systemPages are the pages about the installation, each for whom it is.
var systemPages = []struct {
	room
	permit access.Permit
}{
	{room{"/system", "System"}, mayReadAll},
	{room{"/system/deadletters", "Dead letters"}, mayReadAll},
	{room{"/system/routes", "Routes"}, mayReadRoutes},
	{room{"/system/moving", "Moving in"}, mayReadAll},
	{room{"/system/keys", "API keys"}, mayRunAll},
}

// SystemPages are the pages about the installation that whoever asks may see.
func (v *view) SystemPages() (all []room) {
	for _, p := range systemPages {
		if p.permit.Demand(v.ctx()) == nil {
			all = append(all, p.room)
		}
	}
	return all
}

// Path is that of the page, without a query.
func (v *view) Path() string {
	path, _, _ := strings.Cut(v.Self(), "?")
	return path
}

// Rooms are the pages of the navigation.
func (v *view) Rooms() []room { return rooms }

// onceTold are the members of an address that say what the action before did. app.js has the same.
var onceTold = []string{"did", "run", "name", "action", "done", "same", "group"}

// Self is the address of the page, without what the action before it did.
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

// Is reports whether the address is that of a room, or below it.
func (v *view) Is(room string) bool {
	return v.r.URL.Path == room || room != "/" && strings.HasPrefix(v.r.URL.Path, room+"/")
}

func (v *view) ctx() context.Context { return v.r.Context() }

// render answers with a page. Nothing is sent of a page that fails.
func (v *view) render(status int, name string, data any) {
	var out bytes.Buffer
	if err := templates[v.Lang].ExecuteTemplate(&out, name, frame{v, name, data, status}); err != nil {
		v.Log.Error("render page", "page", name, "err", err)
		http.Error(v.w, v.T("This page could not be made."), http.StatusInternalServerError)
		return
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Cookie, Accept-Language")
	var zipped []byte
	if strings.Contains(v.r.Header.Get("Accept-Encoding"), "gzip") {
		zipped = zip(out.Bytes())
		h.Set("Content-Encoding", "gzip")
	}
	v.sendStatus(status, out.Bytes(), zipped)
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

// redirect goes on to an address of this server.
func (v *view) redirect(address string) error {
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
	return nil
}

// statuses is the table from the kind of an error to its HTTP status.
var statuses = map[domain.Kind]int{
	domain.Invalid: http.StatusUnprocessableEntity, domain.NotFound: http.StatusNotFound, domain.Conflict: http.StatusConflict,
	domain.Stale: http.StatusPreconditionFailed, domain.TooLarge: http.StatusRequestEntityTooLarge,
	domain.Unauthenticated: http.StatusUnauthorized, domain.Forbidden: http.StatusForbidden,
}

// problem is what the page of an error shows.
type problem struct {
	Title  string
	Faults domain.Faults
}

// fail answers with the page of an error.
func (v *view) fail(err error) {
	if faults := domain.FaultsOf(err); faults != nil {
		status := statuses[faults[0].Kind]
		if errors.Is(err, bodies.ErrFull) {
			status = http.StatusServiceUnavailable
		}
		if status == http.StatusUnauthorized && v.r.Method == http.MethodGet {
			v.toLogin()
			return
		}
		v.render(status, "problem", problem{v.T(http.StatusText(status)), faults})
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
