package pages

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/internal/catalog"
)

// Health tells whether every part keeps up: what /readyz of this process reports, and what the database knows about the
// other processes.
type Health struct {
	Class string // of the worst part: "trouble", "attention", or empty
	Word  string
	Parts []Part
	Known bool // the database answered
	At    catalog.Parts
}

// Part is one part of the installation and its state.
type Part struct {
	Name, Says, Class string
	Link              string // where it is mended or looked at; empty for nowhere
}

// From when on a part counts as behind.
const (
	watermarkLate = 15 * time.Second
	sinkSilent    = 20 * time.Minute // a served sink gets a batch at least every ten minutes
	waitsLong     = 10 * time.Second // what is recorded is handed over within milliseconds
	waitsTooLong  = time.Minute
)

func (v *view) Health() Health {
	if known, ok := v.ctx().Value(healthKey{}).(*Health); ok {
		return *known
	}
	return v.health()
}

type healthKey struct{}

// health computes the health once for each request.
func (v *view) health() Health {
	var h Health
	undelivered := ""
	parts, err := v.Catalog.Parts(v.ctx())
	if v.Ready != nil {
		failing := v.Ready(v.ctx())
		undelivered = failing["sinks"]
		for _, name := range slices.Sorted(maps.Keys(failing)) {
			text := failing[name]
			if name == "postgres" && err != nil { // it names hosts and users, and the log has it
				text = v.T("does not answer as it should")
			}
			if hint := meanwhile[name]; hint != "" {
				text += " — " + v.T(hint)
			}
			h.Parts = append(h.Parts, Part{Name: name, Says: text, Class: "trouble"})
		}
	}
	switch {
	case err != nil && !slices.ContainsFunc(h.Parts, func(p Part) bool { return p.Name == "postgres" }):
		h.Parts = append(h.Parts, Part{Name: "postgres", Says: v.T("does not answer as it should"), Class: "trouble"})
	case err == nil:
		h.Known, h.At = true, parts
		h.Parts = append(h.Parts, v.beatPart(parts))
		h.Parts = append(h.Parts, v.unsentPart(parts)...)
		h.Parts = append(h.Parts, v.sinkParts(parts, undelivered)...)
		if parts.Aside > 0 {
			h.Parts = append(h.Parts, v.asidePart(parts.Aside))
		}
	}
	slices.SortStableFunc(h.Parts, func(a, b Part) int { return cmp.Compare(urgency[a.Class], urgency[b.Class]) })
	h.Word = v.T("all well")
	for _, p := range h.Parts {
		if p.Class == "trouble" || p.Class == "attention" && h.Class == "" {
			h.Class = p.Class
		}
	}
	switch h.Class {
	case "trouble":
		h.Word = v.T("needs you")
	case "attention":
		h.Word = v.T("worth a look")
	}
	ctx := context.WithValue(v.ctx(), healthKey{}, &h)
	v.r = v.r.WithContext(ctx)
	return h
}

// urgency sorts parts: what needs somebody is said first.
var urgency = map[string]int{"trouble": 0, "attention": 1, "": 2}

const inShadow = "%s is in shadow mode: it records what it would fire, and fires nothing; another beat is in charge"

// meanwhile maps conditions of readiness to a text that says what happens to due times while the condition fails, and
// what to do.
var meanwhile = map[string]string{
	"sinks":    "what is not delivered waits in the log and follows by itself; nothing is lost, and runs are late",
	"postgres": "nothing fires or changes until it answers; then policies decide what becomes of what was due",
}

func (v *view) beatPart(p catalog.Parts) Part {
	held := func(l catalog.Lease) bool { return l.Holder != "" && l.ExpiresAt.After(p.Now) }
	for _, l := range p.Leases {
		leads := func(other catalog.Lease) bool { return other.Name == "beat" && held(other) }
		if l.Name == "shadow" && held(l) && !slices.ContainsFunc(p.Leases, leads) {
			return Part{v.T("beat"), v.T(inShadow, l.Holder), "", ""}
		}
	}
	for _, l := range p.Leases {
		if l.Name != "beat" {
			continue
		}
		switch {
		case !held(l):
			return Part{v.T("beat"), v.T("no beat holds the lease, so nothing fires: start one (tactus beat)"), "trouble", ""}
		case l.Watermark == nil:
			return Part{v.T("beat"), v.T("%s leads, and is loading", l.Holder), "", ""}
		}
		behind := p.Now.Sub(*l.Watermark)
		if behind > watermarkLate {
			return Part{v.T("beat"), v.T("%s leads, but is %s behind: what is due fires late", l.Holder, took(v.Lang, behind)), "attention", ""}
		}
		return Part{v.T("beat"), v.T("%s leads; everything is settled up to %s ago", l.Holder, took(v.Lang, behind)), "", ""}
	}
	return Part{v.T("beat"), v.T("no beat has been here yet, so nothing fires: start one (tactus beat)"), "trouble", ""}
}

// sinkParts returns the parts for sinks. It leaves out the sinks that undelivered, a condition of this process itself,
// already reports.
func (v *view) sinkParts(p catalog.Parts, undelivered string) (parts []Part) {
	if len(p.Sinks) == 0 {
		return []Part{{v.T("relay"), v.T("no relay has been here yet, so nothing is handed over: start one (tactus relay)"), "trouble", ""}}
	}
	for _, s := range p.Sinks {
		switch {
		case strings.Contains(undelivered, s.Name+": "):
		case s.Stopped != "":
			parts = append(parts, Part{s.Name, v.T("no relay can serve it: %s", s.Stopped), "trouble", ""})
		case s.CutAt == nil || p.Now.Sub(*s.CutAt) > sinkSilent:
			parts = append(parts, Part{s.Name, v.T("no relay serves it: start one (tactus relay), or forget the sink"), "trouble", ""})
		default:
			parts = append(parts, Part{s.Name, v.T("served; its newest batch is %s old", took(v.Lang, p.Now.Sub(*s.CutAt))), "", ""})
		}
	}
	return parts
}

func (v *view) asidePart(n int64) Part {
	number := count(n)
	if n >= catalog.MaxAside {
		number += "+"
	}
	said := v.T("%s set aside: look at them, and put them back or drop them", number)
	return Part{v.T("dead letters"), said, "attention", "/system/deadletters"}
}

// unsentPart tells of runs that wait for long to be handed over.
func (v *view) unsentPart(p catalog.Parts) (parts []Part) {
	if p.Unsent.Since == nil || p.Now.Sub(*p.Unsent.Since) < waitsLong {
		return nil
	}
	waits := p.Now.Sub(*p.Unsent.Since)
	said := v.T("%s wait to be handed over, the oldest for %s: look whether a relay runs, and whether the broker answers",
		unsentCount(p.Unsent), took(v.Lang, waits))
	if waits < waitsTooLong {
		return []Part{{v.T("runs"), said, "attention", "/runs?state=due"}}
	}
	return []Part{{v.T("runs"), said, "trouble", "/runs?state=due"}}
}

func unsentCount(u catalog.Unsent) string {
	if u.Count >= catalog.MaxUnsent {
		return count(u.Count) + "+"
	}
	return count(u.Count)
}

// Unsent says how many runs wait to be handed over; it is empty unless they wait for long.
func (v *view) Unsent() string {
	h := v.Health()
	if len(v.unsentPart(h.At)) == 0 {
		return ""
	}
	return v.T("%s runs wait to be handed over", unsentCount(h.At.Unsent))
}
