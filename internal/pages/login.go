package pages

import (
	"net/http"
	"net/url"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/bodies"
)

// loginData is the login form, with the address to go to afterwards.
type loginData struct{ Next, Refused, Provider string }

// login asks for a key. The form is posted to /login, which the guard of package access handles: it sets the cookie of
// the session.
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

// toLogin sends a browser to the login, from where it comes back here.
func (v *view) toLogin() {
	address := "/login?next=" + url.QueryEscape(v.Self())
	if v.r.Header.Get("HX-Request") != "" { // the session ended while the page was open: htmx follows this header
		v.w.Header().Set("HX-Redirect", address)
		v.w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.Redirect(v.w, v.r, address, http.StatusSeeOther)
}

// endedData is a form that was sent after the session had ended.
type endedData struct {
	Action string
	Fields []hiddenField
}

// refuseForm refuses the form of a viewer who may not send it. A small form of somebody whose session has ended is kept
// on the page, to be sent again after the login.
func (s *site) refuseForm(v *view, why error) {
	if access.From(v.ctx()).Kind != access.Nobody {
		v.fail(why)
		return
	}
	release, err := s.Bodies.ReadForm(v.w, v.r, access.Client(v.r), bodies.SmallForm)
	defer release()
	if err == nil {
		err = readable(v.r.Form)
	}
	if err != nil {
		v.fail(why)
		return
	}
	v.self = "/"
	v.render(http.StatusUnauthorized, "ended", endedData{v.r.URL.RequestURI(), hiddenFields(v.r.PostForm)})
}

// MayWrite reports whether the viewer may change schedules. Pages have no buttons for what the viewer may not do.
func (v *view) MayWrite() bool { return mayWrite.Demand(v.ctx()) == nil }

// Someone reports whether the viewer is logged in.
func (v *view) Someone() bool { return access.From(v.ctx()).Kind != access.Nobody }

// Who returns the viewer's name and role. It is empty if everybody may do everything.
func (v *view) Who() string {
	who := access.From(v.ctx())
	if who.Kind == access.Nobody || who.Kind == access.Anonymous {
		return ""
	}
	return who.Actor() + " (" + who.Role.String() + ")"
}
