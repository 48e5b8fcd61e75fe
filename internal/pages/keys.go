package pages

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/access"
)

// keysData answers: who may call, with what, until when, and who still does?
type keysData struct {
	Keys   []keyLine
	Open   bool // the server accepts requests without a key
	Typed  url.Values
	Faults map[string][]string
	Others []string
	Ended  bool // revoked and expired keys are listed, too
}

type keyLine struct {
	access.KeyInfo
	Scoped                 string
	Created                Moment
	Expires, Used, Revoked *Moment
	Mark                   state
}

// issuedData shows a new key. Nobody can read it again afterwards.
type issuedData struct {
	Key  access.IssuedKey
	Old  string // the id of the key that it replaces; empty for none
	Ends *Moment
}

func (s *site) keys() {
	s.getAs(mayRunAll, "/system/keys", func(v *view) (string, any, error) {
		d, err := v.keysData()
		d.Typed = url.Values{"role": {"read"}}
		return "keys", d, err
	})
	s.postAs(mayRunAll, "/system/keys", s.createKey)
	s.getAs(mayRunAll, "/system/keys/{id}", func(v *view) (string, any, error) {
		line, err := v.keyOf()
		return "key", keyData{keyLine: line, Overlap: "24"}, err
	})
	s.postAs(mayRunAll, "/system/keys/{id}/rotate", s.rotateKey)
	s.postAs(mayRunAll, "/system/keys/{id}/revoke", func(v *view) error {
		line, err := v.keyOf()
		if err != nil {
			return err
		}
		if _, err := v.Keys.Revoke(v.ctx(), line.ID); err != nil {
			return err
		}
		return v.redirect("/system/keys/" + line.ID.String() + "?did=revoked")
	})
	s.getAs(mayRead, "/sessions", func(v *view) (string, any, error) {
		own, err := access.OwnSessions(v.ctx())
		d := sessionsData{Who: v.Who()}
		for _, session := range own {
			d.Sessions = append(d.Sessions, sessionLine{session, v.at(session.CreatedAt, ""), v.at(session.ExpiresAt, "")})
		}
		return "sessions", d, err
	})
	s.postAs(mayRead, "/sessions", s.endSession)
}

// endSession ends a session of the principal. If it is the session of this very request, the browser goes to the login,
// because the old session is still accepted for up to a second.
func (s *site) endSession(v *view) error {
	own, err := access.OwnSessions(v.ctx())
	if err != nil {
		return err
	}
	id, next := v.r.PostFormValue("id"), "/sessions"
	for _, session := range own {
		if session.ID == id && session.Current {
			next = "/login"
		}
	}
	if _, err := access.EndOwnSession(v.ctx(), id); err != nil { // a session that is gone counts as ended
		return err
	}
	return v.redirect(next)
}

func (v *view) keysData() (d keysData, err error) {
	all, err := v.Keys.List(v.ctx())
	d = keysData{Open: access.From(v.ctx()).Kind == access.Anonymous, Ended: v.r.URL.Query().Get("ended") != "", Faults: map[string][]string{}}
	for _, k := range all {
		if k.State == access.Active || d.Ended {
			d.Keys = append(d.Keys, v.keyLine(k))
		}
	}
	return d, err
}

func (v *view) keyLine(k access.KeyInfo) keyLine {
	line := keyLine{KeyInfo: k, Scoped: strings.Join(k.Scope, ", "), Created: v.at(k.CreatedAt, "")}
	line.Expires, line.Used, line.Revoked = v.maybeAt(k.ExpiresAt, ""), v.maybeAt(k.LastUsedAt, ""), v.maybeAt(k.RevokedAt, "")
	switch {
	case k.State == access.Revoked:
		line.Mark = state{"✕", v.T("revoked"), "attention"}
	case k.State == access.Expired:
		line.Mark = state{"‥", v.T("expired"), "attention"}
	case k.ReplacedBy != nil:
		line.Mark = state{"↻", v.T("replaced"), ""}
	default:
		line.Mark = state{"✓", v.T("active"), ""}
	}
	return line
}

// keyData is the page of one key.
type keyData struct {
	keyLine
	Overlap string
	Faults  []string
}

func (v *view) keyOf() (keyLine, error) {
	id, err := domain.ParseID(v.r.PathValue("id"))
	if err != nil {
		return keyLine{}, access.ErrKeyNotFound
	}
	k, err := v.Keys.Get(v.ctx(), id)
	if err != nil {
		return keyLine{}, err
	}
	return v.keyLine(k), nil
}

func (s *site) createKey(v *view) error {
	typed := v.r.PostForm
	n := access.NewKey{Name: typed.Get("name"), Scope: access.Scope(tagsOf(typed.Get("scope"))), By: access.From(v.ctx()).Actor()}
	_ = n.Role.UnmarshalText([]byte(typed.Get("role"))) // an unreadable role stays empty, which Create refuses
	expires, err := v.readTime(typed.Get("expires_at"))
	var made access.IssuedKey
	if n.ExpiresAt = expires; err == nil {
		made, err = v.Keys.Create(v.ctx(), n)
	}
	faults := domain.FaultsOf(err)
	if err == nil {
		v.render(http.StatusCreated, "issued", issuedData{Key: made})
		return nil
	}
	if faults == nil {
		return err
	}
	d, err := v.keysData()
	if err != nil {
		return err
	}
	d.Typed = typed
	for _, f := range faults {
		switch field := strings.TrimPrefix(f.Field, "/"); field {
		case "name", "role", "scope", "expires_at":
			d.Faults[field] = append(d.Faults[field], f.Message)
		default:
			d.Others = append(d.Others, f.Message)
		}
	}
	v.self = "/system/keys"
	v.render(statuses[faults[0].Kind], "keys", d)
	return nil
}

// readTime parses a time as people type it, in the viewer's zone. It returns nil for an empty text.
func (v *view) readTime(text string) (*time.Time, error) {
	if text = strings.TrimSpace(text); text == "" {
		return nil, nil
	}
	location := v.Zone
	if location == nil {
		location = time.UTC
	}
	for _, format := range []string{time.RFC3339, "2006-01-02 15:04", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(format, text, location); err == nil {
			return &t, nil
		}
	}
	return nil, &domain.Error{Kind: domain.Invalid, Code: "time_invalid", Field: "/expires_at", Message: v.T("want a date, or a date and a time: 2027-01-31 09:00")}
}

const maxOverlapHours = int(access.MaxOverlap / time.Hour)

func (s *site) rotateKey(v *view) error {
	line, err := v.keyOf()
	if err != nil {
		return err
	}
	typed := strings.TrimSpace(v.r.PostFormValue("overlap"))
	hours, err := strconv.ParseFloat(typed, 64)
	if err != nil || !(hours >= 0 && hours <= access.MaxOverlap.Hours()) {
		v.self = "/system/keys/" + line.ID.String()
		v.render(statuses[domain.Invalid], "key", keyData{line, typed, []string{v.T("want 0 to %d hours", maxOverlapHours)}})
		return nil
	}
	made, err := v.Keys.Rotate(v.ctx(), line.ID, time.Duration(hours*float64(time.Hour)), nil, access.From(v.ctx()).Actor())
	if err != nil {
		return err
	}
	d := issuedData{Key: made, Old: line.ID.String()}
	if old, err := v.Keys.Get(v.ctx(), line.ID); err == nil {
		d.Ends = v.maybeAt(old.ExpiresAt, "")
	} else {
		v.Log.Warn("the replaced key could not be read", "err", fmt.Errorf("read key: %w", err))
	}
	v.render(http.StatusCreated, "issued", d)
	return nil
}

// sessionsData lists the sessions of the principal that asks.
type sessionsData struct {
	Who      string
	Sessions []sessionLine
}

type sessionLine struct {
	access.SessionInfo
	Opened, Ends Moment
}
