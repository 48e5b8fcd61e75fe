package notify

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"github.com/tactus-dev/tactus/domain"
)

// notification is the JSON document that is sent.
type notification struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      contents  `json:"data"`
}

type contents struct {
	Rule       string            `json:"rule"`
	Test       bool              `json:"test,omitempty"`
	Count      int64             `json:"count"`
	Summary    string            `json:"summary"`
	Happenings []json.RawMessage `json:"happenings"`
}

// typeOfNotification is the type of the documents that webhooks get.
const typeOfNotification = "tactus.notification"

// letter is a delivery, with the rule and the secrets that are needed to send it.
type letter struct {
	ID         domain.ID
	RuleID     domain.ID
	Name       string
	Definition string
	Kind       string
	Count      int64
	Documents  []string
	CreatedAt  time.Time
	Attempts   int
	URL, Key   string
	Headers    string
	FormerKey  *string
	rule       domain.NotificationRule
}

// message returns the message of a letter, and the address that it goes to.
func (l *letter) message() (*message.Message, string, error) {
	if err := json.Unmarshal([]byte(l.Definition), &l.rule); err != nil {
		return nil, "", fmt.Errorf("the rule cannot be read: %w", err)
	}
	content := l.contents()
	body, err := json.Marshal(notification{typeOfNotification, l.CreatedAt.UTC(), content})
	if err != nil {
		return nil, "", fmt.Errorf("encode notification: %w", err)
	}
	m := message.NewMessage("msg_"+l.ID.String(), body)
	m.Metadata[metaType] = contentJSON
	address := l.URL
	switch l.rule.To {
	case domain.Webhook:
		m.Metadata[metaKeys] = l.Key
		if l.FormerKey != nil {
			m.Metadata[metaKeys] += " " + *l.FormerKey
		}
	case domain.Slack:
		m.Payload, err = json.Marshal(map[string]string{"text": slackText(content)})
	case domain.Ping:
		address, err = l.pinged()
		m.Payload, m.Metadata[metaType] = []byte(content.Summary), "text/plain; charset=utf-8"
	case domain.HTTP:
		err = l.any(m, content, body)
	default:
		err = fmt.Errorf("there is no form %q", l.rule.To)
	}
	return m, address, err
}

// event returns the n-th happening of the letter.
func (l *letter) event(n int) (e event) {
	_ = json.Unmarshal([]byte(l.Documents[n]), &e) // document has made it
	return e
}

func (l *letter) contents() contents {
	c := contents{Rule: l.Name, Test: l.Kind == kindTest, Count: l.Count, Happenings: []json.RawMessage{}}
	var lines []string
	for n, text := range l.Documents {
		c.Happenings = append(c.Happenings, json.RawMessage(text))
		lines = append(lines, l.event(n).words())
	}
	if c.Test {
		lines = []string{"this is a test of the notification rule " + l.Name}
	}
	if more := l.Count - int64(len(l.Documents)); more > 0 && !c.Test {
		lines = append(lines, "and "+strconv.FormatInt(more, 10)+" more")
	}
	c.Summary = strings.Join(lines, "\n")
	return c
}

var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slackText returns a notification in Slack's markup.
func slackText(c contents) string {
	return fmt.Sprintf("*%s*: %d\n%s", slackEscapes.Replace(c.Rule), c.Count, slackEscapes.Replace(c.Summary))
}

// pinged returns the address of a ping with the id of the run: the address of the check if all is well, otherwise that
// address with /fail.
func (l *letter) pinged() (string, error) {
	u, err := url.Parse(l.URL)
	if err != nil {
		return "", &failure{why: "the address cannot be used", forGood: true}
	}
	if l.Kind == kindFail {
		u = u.JoinPath("fail")
	}
	if n := len(l.Documents); n > 0 {
		if run := l.event(n - 1).RunID; !run.IsZero() {
			query := u.Query()
			query.Set("rid", run.String())
			u.RawQuery = query.Encode()
		}
	}
	return u.String(), nil
}

// any makes the message for a rule that describes its own form.
func (l *letter) any(m *message.Message, c contents, body []byte) error {
	m.Metadata[metaMethod] = l.rule.Method
	if l.rule.ContentType != "" {
		m.Metadata[metaType] = l.rule.ContentType
	}
	var headers map[string]string
	if err := json.Unmarshal([]byte(l.Headers), &headers); err != nil {
		return fmt.Errorf("the headers cannot be read: %w", err)
	}
	for name, value := range headers {
		m.Metadata[metaHeader+name] = value
	}
	if l.rule.Body == "" || l.rule.Method == http.MethodGet {
		return nil
	}
	var first event
	if len(l.Documents) > 0 {
		first = l.event(0)
	}
	in := func(text string) string { return text }
	if strings.Contains(strings.ToLower(m.Metadata[metaType]), "json") {
		in = inJSON
	}
	m.Payload = []byte(strings.NewReplacer(
		"{rule}", in(c.Rule), "{count}", strconv.FormatInt(c.Count, 10), "{summary}", in(c.Summary), "{what}",
		in(first.What),
		"{schedule}", in(first.ScheduleName), "{json}", string(body),
	).Replace(l.rule.Body))
	return nil
}

// inJSON returns a text escaped for use between the quotes of a JSON string.
func inJSON(text string) string {
	quoted, _ := json.Marshal(text) // a string always encodes
	return string(quoted[1 : len(quoted)-1])
}
