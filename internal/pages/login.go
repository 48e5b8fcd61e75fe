package pages

import (
	"net/http"
	"net/url"

	"github.com/tactus-dev/tactus/internal/access"
)

// loginData is the form of a login, with where it goes on to.
type loginData struct{ Next, Refused, Provider string }

// login asks for a key. The form is answered by the guard (POST /login), which sets the cookie of the session.
func (s *site) login(w http.ResponseWriter, r *http.Request) {
	v := s.viewOf(w, r)
	d := loginData{Next: local(r.URL.Query().Get("next"))}
	if s.Provider != "" {
		d.Provider = s.Provider + "?next=" + url.QueryEscape(d.Next)
	}
	switch r.URL.Query().Get("refused") {
	case "":
	case "too_many_failures":
		d.Refused = v.T("Too many wrong keys came from here: wait a few seconds.")
	case "rate_limited":
		d.Refused = v.T("Too many logins by this key: wait a few seconds.")
	default:
		d.Refused = v.T("This key is not good: it is unknown, has expired or was revoked.")
	}
	v.render(http.StatusOK, "login", d)
}

// toLogin sends a browser to log in, and back here afterwards.
func (v *view) toLogin() {
	address := "/login?next=" + url.QueryEscape(v.Self())
	if v.r.Header.Get("HX-Request") != "" { // the session has ended while the page was open
		v.w.Header().Set("HX-Redirect", address)
		v.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
}

// MayWrite reports whether whoever sees the page may change schedules. What they may not do has no button.
func (v *view) MayWrite() bool { return mayWrite.Demand(v.ctx()) == nil }

// Someone reports whether it is known who sees the page.
func (v *view) Someone() bool { return access.From(v.ctx()).Kind != access.Nobody }

// Who is the name of whoever is logged in, with their role; empty where everybody may do everything.
func (v *view) Who() string {
	who := access.From(v.ctx())
	if who.Kind == access.Nobody || who.Kind == access.Anonymous {
		return ""
	}
	return who.Actor() + " (" + who.Role.String() + ")"
}
