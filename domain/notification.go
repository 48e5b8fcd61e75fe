package domain

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// NotificationRule says who is told what of which schedules. A schedule is meant when it fits each of names, tags and
// tasks that the rule has. The address that is told, and what it is told with, is a secret: see NotificationSecrets.
type NotificationRule struct {
	ID                ID          `json:"id" readOnly:"true"`
	Name              string      `json:"name,omitempty" doc:"Letters, digits, dots, hyphens and underscores; at most 100."`
	Version           int64       `json:"version" readOnly:"true"`
	Description       string      `json:"description,omitempty"`
	Source            *string     `json:"source,omitempty" doc:"The files that it comes from, as tactus apply --source names them: they may prune it. It stays as it is unless given; empty for none."`
	Enabled           bool        `json:"enabled" doc:"Whether it tells anybody; true unless given."`
	Names             []string    `json:"names,omitempty" doc:"Names of schedules, or patterns: * is any text. One of them must fit; all schedules unless given."`
	Tags              []string    `json:"tags,omitempty" doc:"Tags, of which the schedule must have one."`
	Tasks             []string    `json:"tasks,omitempty" doc:"Names of tasks, or patterns."`
	On                []Happening `json:"on" doc:"What is told." enum:"failed,missed,late,unknown,invalid,never_fired,recovered,paused,succeeded"`
	LateSeconds       int64       `json:"late_seconds,omitempty" doc:"How late a run may start until it is late; needed with late."`
	PausedSeconds     int64       `json:"paused_seconds,omitempty" doc:"How long a schedule may be paused until that is told; needed with paused."`
	NeverFiredSeconds int64       `json:"never_fired_seconds,omitempty" doc:"How long after it was made, enabled or given its trigger a schedule may have had no run; needed with never_fired."`
	EveryMinutes      int64       `json:"every_minutes,omitempty" doc:"At most one notification in so many minutes. What happens meanwhile is told together, with a count."`
	To                Channel     `json:"to" doc:"The form of what is sent." enum:"webhook,slack,http,ping,stream"`
	URL               string      `json:"url,omitempty" doc:"Where it is sent. It is a secret: answers show its scheme and host alone, and a request that says so, or nothing, keeps it."`
	Method            string      `json:"method,omitempty" doc:"For http: POST unless given." enum:"GET,POST,PUT,PATCH"`
	ContentType       string      `json:"content_type,omitempty" doc:"For http: application/json unless given."`
	Body              string      `json:"body,omitempty" doc:"For http: the text that is sent, with the words {rule}, {count}, {summary}, {what}, {schedule} and {json}; {json} unless given."`
	CreatedAt         time.Time   `json:"created_at,omitzero" readOnly:"true"`
	UpdatedAt         time.Time   `json:"updated_at,omitzero" readOnly:"true"`

	SetBy string `json:"-"` // who made it what it is, and shares the time of looking with others by that
}

// NotificationSecrets are what nobody may read of a rule: they are kept apart from it, and in no event. What a request
// leaves out stays as it is.
type NotificationSecrets struct {
	URL     string
	Shown   string            // in place of URL: an address as ShownURL shows it, which must be the one that is kept
	Key     string            // of a webhook: whsec_ and base64
	Headers map[string]string // of the form http
}

// Happening is something that a rule may tell of.
type Happening string

// What rules tell of. The first four are states of runs.
const (
	RunHasFailed    Happening = "failed"
	RunWasMissed    Happening = "missed"
	RunIsUnknown    Happening = "unknown"
	RunHasSucceeded Happening = "succeeded"
	RunIsLate       Happening = "late"
	HasRecovered    Happening = "recovered"
	IsInvalid       Happening = "invalid"
	HasNeverFired   Happening = "never_fired"
	IsPaused        Happening = "paused"
)

var happenings = []Happening{
	RunHasFailed, RunWasMissed, RunIsLate, RunIsUnknown, IsInvalid, HasNeverFired, HasRecovered, IsPaused,
	RunHasSucceeded,
}

// Channel is a form in which somebody is told.
type Channel string

// The channels.
const (
	Webhook Channel = "webhook" // signed by the scheme of Standard Webhooks
	Slack   Channel = "slack"
	HTTP    Channel = "http"
	Ping    Channel = "ping" // of a dead man's switch, in the form of healthchecks
	Stream  Channel = "stream"
)

var channels = []Channel{Webhook, Slack, HTTP, Ping, Stream}

// The types of events of rules.
const (
	RuleSet     EventType = "rule.set"
	RuleDeleted EventType = "rule.deleted"
)

// Errors about rules, for comparison with errors.Is.
var (
	ErrRuleNotFound = &Error{Kind: NotFound, Code: "not_found", Message: "there is no such notification rule"}
	ErrRuleStale    = &Error{
		Kind: Stale, Code: "version_conflict",
		Message: "the rule has changed since it was read: read it again and repeat the change",
	}
)

// ruleMembers are what a body about a rule may say.
type ruleMembers struct {
	Name              string            `json:"name"`
	Description       string            `json:"description"`
	Source            *string           `json:"source"`
	Enabled           *bool             `json:"enabled"`
	Names             []string          `json:"names"`
	Tags              []string          `json:"tags"`
	Tasks             []string          `json:"tasks"`
	On                []string          `json:"on"`
	LateSeconds       int64             `json:"late_seconds"`
	PausedSeconds     int64             `json:"paused_seconds"`
	NeverFiredSeconds int64             `json:"never_fired_seconds"`
	EveryMinutes      int64             `json:"every_minutes"`
	To                string            `json:"to"`
	URL               string            `json:"url"`
	Secret            string            `json:"secret"`
	Method            string            `json:"method"`
	Headers           map[string]string `json:"headers"`
	ContentType       string            `json:"content_type"`
	Body              string            `json:"body"`
}

// ruleReadOnly are members that an answer has, and a request may carry back. They are ignored.
var ruleReadOnly = []string{"id", "version", "created_at", "updated_at", "last"}

// DecodeNotificationRule decodes and checks a rule of the given name, and its secrets as far as the body has them. The
// error is Faults.
func DecodeNotificationRule(name string, raw []byte) (r NotificationRule, s NotificationSecrets, err error) {
	given, err := object(raw)
	if err != nil {
		return r, s, err
	}
	for _, member := range ruleReadOnly {
		delete(given, member)
	}
	rest, err := json.Marshal(given)
	if err != nil {
		return r, s, fmt.Errorf("decode rule: %w", err)
	}
	var m ruleMembers
	faults := FaultsOf(DecodeInto(rest, &m))
	if m.Name != "" && m.Name != name {
		faults.add("rule_name_invalid", "/name", "the address says %q, the body %q: leave it out of the body", name,
			m.Name)
	}
	r = NotificationRule{
		Name: name, Description: m.Description, Source: m.Source, Enabled: m.Enabled == nil || *m.Enabled,
		Names: m.Names, Tags: m.Tags, Tasks: m.Tasks,
		LateSeconds: m.LateSeconds, PausedSeconds: m.PausedSeconds, NeverFiredSeconds: m.NeverFiredSeconds,
		EveryMinutes: m.EveryMinutes,
		To:           Channel(m.To), Method: m.Method, ContentType: m.ContentType, Body: m.Body,
	}
	for _, on := range m.On {
		r.On = append(r.On, Happening(on))
	}
	s = NotificationSecrets{URL: m.URL, Key: m.Secret, Headers: m.Headers}
	told := map[string]bool{}
	for _, f := range faults {
		told[f.Field] = true
	}
	for _, f := range append(r.faults(), s.faults(r.To)...) {
		if !told[f.Field] {
			faults = append(faults, f)
		}
	}
	if IsShownURL(s.URL) {
		s.URL, s.Shown = "", s.URL
	}
	slices.SortStableFunc(faults, func(a, b *Error) int { return strings.Compare(a.Field, b.Field) })
	return r, s, faults[:min(len(faults), MaxFaults)].err()
}

const (
	maxPatterns  = 100
	maxRuleTimes = 366 * 24 * 3600
	maxHeaders   = 20
	maxHTTPBody  = 16 << 10
)

// faults returns all that is wrong with a rule.
func (r NotificationRule) faults() (faults Faults) {
	if !calendarName.MatchString(r.Name) {
		faults.add("rule_name_invalid", "/name", "%q: %s", r.Name, calendarNameWanted)
	}
	if !legible(r.Description, maxText) {
		faults.add("text_invalid", "/description", "want at most %d characters, none of them a control character",
			maxText)
	}
	faults.source(r.Source)
	for member, patterns := range map[string][]string{"names": r.Names, "tags": r.Tags, "tasks": r.Tasks} {
		if len(patterns) > maxPatterns {
			faults.add("too_many", "/"+member, "%d: at most %d", len(patterns), maxPatterns)
			continue
		}
		for n, p := range patterns {
			if p == "" || !legible(p, 200) {
				faults.add("text_invalid", fmt.Sprintf("/%s/%d", member, n),
					"want a text of at most 200 characters, none of them a control character")
			}
		}
	}
	r.happeningFaults(&faults)
	if r.EveryMinutes < 0 || r.EveryMinutes > maxRuleTimes/60 {
		faults.add("minutes_range", "/every_minutes", "%d: want 0 to %d", r.EveryMinutes, maxRuleTimes/60)
	}
	switch {
	case r.To == "":
		faults.add("to_missing", "/to", "say in which form it is sent: %s", wordsOf(channels))
	case !slices.Contains(channels, r.To):
		faults.add("choice_invalid", "/to", "%q: want %s", r.To, wordsOf(channels))
	}
	r.formFaults(&faults)
	return faults
}

func (r NotificationRule) happeningFaults(faults *Faults) {
	if len(r.On) == 0 {
		faults.add("on_missing", "/on", "say what is told: %s", wordsOf(happenings))
	}
	if len(r.On) > len(happenings) {
		faults.add("too_many", "/on", "%d: there are %d, each is said once", len(r.On), len(happenings))
		return
	}
	for n, on := range r.On {
		switch {
		case slices.Contains(r.On[:n], on):
			faults.add("choice_repeated", fmt.Sprintf("/on/%d", n), "%q stands there already: leave it out", on)
		case !slices.Contains(happenings, on):
			faults.add("choice_invalid", fmt.Sprintf("/on/%d", n), "%q: want %s", on, wordsOf(happenings))
		case (r.To == Ping || r.To == Stream) && !on.ofRun():
			faults.add("choice_invalid", fmt.Sprintf("/on/%d", n), "%q: a %s tells of states of runs alone: %s", on,
				r.To, wordsOf(happeningsOfRuns))
		}
	}
	for _, limit := range []struct {
		on     Happening
		member string
		value  int64
	}{
		{RunIsLate, "late_seconds", r.LateSeconds},
		{IsPaused, "paused_seconds", r.PausedSeconds},
		{HasNeverFired, "never_fired_seconds", r.NeverFiredSeconds},
	} {
		switch told := slices.Contains(r.On, limit.on); {
		case told && limit.value == 0:
			faults.add("seconds_missing", "/"+limit.member, "say after how many seconds %s is told", limit.on)
		case limit.value < 0 || limit.value > maxRuleTimes:
			faults.add("seconds_range", "/"+limit.member, "%d: want 1 to %d", limit.value, maxRuleTimes)
		}
	}
}

func (r NotificationRule) formFaults(faults *Faults) {
	if r.To != HTTP {
		for member, text := range map[string]string{"method": r.Method, "content_type": r.ContentType, "body": r.Body} {
			if text != "" {
				faults.add("only_for_http", "/"+member, "the form http alone has a %s: leave it out", member)
			}
		}
		return
	}
	if r.Method != "" && !slices.Contains([]string{"GET", "POST", "PUT", "PATCH"}, r.Method) {
		faults.add("choice_invalid", "/method", "%q: want GET, POST, PUT or PATCH", r.Method)
	}
	if !headerText(r.ContentType) || len(r.ContentType) > 200 {
		faults.add("text_invalid", "/content_type", "want the text of a header, such as application/json")
	}
	if len(r.Body) > maxHTTPBody || strings.ContainsRune(r.Body, 0) {
		faults.add("text_invalid", "/body", "want at most %d bytes, without U+0000", maxHTTPBody)
	}
}

var happeningsOfRuns = []Happening{RunHasSucceeded, RunHasFailed, RunWasMissed, RunIsUnknown}

// ofRun reports whether a happening is a state of a run.
func (h Happening) ofRun() bool { return slices.Contains(happeningsOfRuns, h) }

// States are the states of runs that a rule has to hear of. A recovery is a success behind a run that did not succeed:
// the successes of a schedule are heard of while it has not recovered.
func (r NotificationRule) States() (states []string) {
	for _, on := range r.On {
		switch {
		case on.ofRun():
			states = append(states, string(on))
		case on == HasRecovered:
			states = append(states, string(Failed), string(Unknown), string(MissedRun), string(Expired))
		}
	}
	slices.Sort(states)
	return slices.Compact(states)
}

// Fits reports whether a rule means a schedule.
func (r NotificationRule) Fits(name string, tags []string, task string) bool {
	tagged := len(r.Tags) == 0 || slices.ContainsFunc(tags, func(tag string) bool {
		return slices.Contains(r.Tags,
			tag)
	})
	return tagged && oneFits(r.Names, name) && oneFits(r.Tasks, task)
}

func oneFits(patterns []string, text string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return fits(p, text) })
}

// fits reports whether a text is of a pattern, in which * is any text.
func fits(pattern, text string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	text, begins := strings.CutPrefix(text, first)
	if !wild || !begins {
		return begins && text == ""
	}
	parts := strings.Split(rest, "*")
	for _, part := range parts[:len(parts)-1] {
		_, behind, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = behind
	}
	return strings.HasSuffix(text, parts[len(parts)-1])
}

// faults returns what is wrong with the secrets that a request says.
func (s NotificationSecrets) faults(to Channel) (faults Faults) {
	if s.URL != "" && to == Stream {
		faults.add("url_invalid", "/url", "a stream has no address: leave it out")
	} else if u, err := url.Parse(s.URL); s.URL != "" && !IsShownURL(s.URL) &&
		(err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || !isPort(u.Port()) ||
			u.Fragment != "" || len(s.URL) > 2_000) {
		faults.add("url_invalid", "/url",
			"want an address that begins with http:// or https:// and names a host, and perhaps a port from 1 to 65535, "+
				"of at most 2000 characters")
	}
	if s.Key != "" {
		if _, err := WebhookKey(s.Key); to != Webhook || err != nil {
			faults.add("secret_invalid", "/secret",
				"a webhook has a secret: whsec_ and the base64 of 24 to 64 bytes; leave it out, and one is made")
		}
	}
	if len(s.Headers) > 0 && (to != HTTP || len(s.Headers) > maxHeaders) {
		faults.add("headers_invalid", "/headers", "the form http alone has headers, at most %d", maxHeaders)
		return faults
	}
	for name, value := range s.Headers {
		if !token(name) || !headerText(value) || len(name)+len(value) > 4_000 || slices.Contains(ownHeaders,
			strings.ToLower(name)) {
			faults.add("headers_invalid", "/headers/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name),
				"that is no header, or one that is made: %s", strings.Join(ownHeaders, ", "))
		}
	}
	return faults
}

// isPort reports whether an address may name a port, or none.
func isPort(text string) bool {
	port, err := strconv.ParseUint(text, 10, 16)
	return text == "" || err == nil && port > 0
}

// ownHeaders are made of what is sent.
var ownHeaders = []string{"content-length", "content-type", "host", "transfer-encoding", "connection"}

// hidden stands in an answer for what is secret.
const hidden = "…"

// ShownURL is what may be seen of an address: its scheme and host.
func ShownURL(address string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/" + hidden
}

// IsShownURL reports whether a text is the answer of ShownURL, which a request may carry back.
func IsShownURL(text string) bool { return strings.HasSuffix(text, "/"+hidden) }

func wordsOf[T ~string](all []T) string {
	words := make([]string, len(all))
	for i, one := range all {
		words[i] = string(one)
	}
	return strings.Join(words, ", ")
}

// legible reports whether a text has no control characters, and not too many others.
func legible(text string, most int) bool {
	return utf8.RuneCountInString(text) <= most && !strings.ContainsFunc(text, func(r rune) bool {
		return r < ' ' && r != '\n' && r != '\t' || r == 0x7f
	})
}

// headerText reports whether a text may be the value of a header.
func headerText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' })
}

// token reports whether a text may be the name of a header.
func token(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' ||
			strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}
