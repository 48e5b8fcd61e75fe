package e2e_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/internal/testenv"
)

// mailbox is a receiver of webhooks. It knows the scheme of Standard Webhooks from its specification alone.
type mailbox struct {
	url string

	mu     sync.Mutex
	secret string
	told   []string // "failed told-fails" ...
	bad    []string // what it does not believe
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	m := &mailbox{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		m.mu.Lock()
		defer m.mu.Unlock()
		if err == nil {
			err = m.believe(r.Header, body)
		}
		if err == nil {
			err = m.read(body)
		}
		if err != nil {
			m.bad = append(m.bad, fmt.Sprintf("%v: %v %s", err, r.Header, body))
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

// believe verifies a signature: of the id, the time in seconds and the body, joined by dots, with the secret's bytes.
func (m *mailbox) believe(h http.Header, body []byte) error {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(m.secret, "whsec_"))
	if err != nil || !strings.HasPrefix(m.secret, "whsec_") || len(key) < 24 {
		return errors.New("that is no secret")
	}
	seconds, err := strconv.ParseInt(h.Get("webhook-timestamp"), 10, 64)
	if age := time.Since(time.Unix(seconds, 0)); err != nil || age.Abs() > 5*time.Minute {
		return fmt.Errorf("it is of %s ago: %w", age, err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("webhook-id"), seconds, body)
	for signature := range strings.FieldsSeq(h.Get("webhook-signature")) {
		version, text, _ := strings.Cut(signature, ",")
		signed, err := base64.StdEncoding.DecodeString(text)
		if err == nil && version == "v1" && hmac.Equal(signed, mac.Sum(nil)) {
			return nil
		}
	}
	return errors.New("no signature fits")
}

func (m *mailbox) read(body []byte) error {
	var sent struct {
		Type string
		Data struct {
			Count      int
			Happenings []struct {
				What string
				Name string `json:"schedule_name"`
			}
		}
	}
	if err := json.Unmarshal(body, &sent); err != nil || sent.Type != "tactus.notification" || sent.Data.Count < 1 {
		return fmt.Errorf("it says nothing: %w", err)
	}
	for _, h := range sent.Data.Happenings {
		m.told = append(m.told, h.What+" "+h.Name)
	}
	return nil
}

// await waits until the receiver has been told something.
func (m *mailbox) await(t *testing.T, what string) {
	t.Helper()
	testenv.Eventually(t, what, func() error {
		m.mu.Lock()
		defer m.mu.Unlock()
		if !slices.Contains(m.told, what) {
			return fmt.Errorf("told so far: %q; not believed: %q", m.told, m.bad)
		}
		return nil
	})
}

// TestTold drives a notification rule through the beat, the relay, a worker and the collector of its results. A run
// fails, the next one succeeds, one is never started, a schedule never fires, and the beat is away while one is due.
func TestTold(t *testing.T) {
	t.Parallel()
	broker := testenv.RedisServer(t, nil)
	s := &stack{T: t, broker: broker, client: testenv.Client(t, broker.URL(0)), lost: 3600}
	s.env = []string{
		"DATABASE_URL=" + testenv.DirectURL(t), "REDIS_URL=" + broker.URL(0), "TACTUS_NOTIFY_PRIVATE=127.0.0.0/8", "TACTUS_TAKEOVER_SECONDS=1",
	}
	s.api = s.start("api").URL() + "/api/v1"
	s.start("relay")
	beat := s.start("beat")
	s.work()
	to := newMailbox(t)
	var rule struct{ Secret string }
	s.ask("PUT", "/notification-rules/on-call", `{"names":["told-*"],"on":["failed","recovered","late","missed","never_fired"],
		"late_seconds":1,"never_fired_seconds":1,"to":"webhook","url":"`+to.url+`"}`, &rule)
	to.mu.Lock()
	to.secret = rule.Secret
	to.mu.Unlock()

	s.never(`"name": "told-never", "task_name": "app.echo"`)
	fails := s.once(`"name": "told-fails", "task_name": "app.fail", "args": ["bad"]`)
	s.once(`"name": "told-late", "task_name": "app.echo", "queue": "nobody"`)
	s.never(`"name": "other-fails", "task_name": "app.fail", "args": ["of another"]`)
	to.await(t, "failed told-fails")
	s.ask("PATCH", "/schedules/"+fails, `{"task_name": "app.echo", "max_runs": 2}`, nil)
	to.await(t, "recovered told-fails")
	to.await(t, "late told-late")
	to.await(t, "never_fired told-never")

	missed := s.create(`"name": "told-missed", "interval_seconds": 1, "task_name": "app.echo", "misfire_policy": "none", "misfire_grace_seconds": 0`)
	s.ended(missed)
	beat.Kill()
	killed := time.Now()
	testenv.Eventually(t, "some due times pass", func() error {
		if away := time.Since(killed); away < 4*time.Second {
			return fmt.Errorf("%s", away)
		}
		return nil
	})
	s.start("beat")
	to.await(t, "missed told-missed")

	to.mu.Lock()
	defer to.mu.Unlock()
	if len(to.bad) > 0 {
		t.Errorf("the receiver does not believe %q", to.bad)
	}
	for _, told := range to.told {
		if strings.Contains(told, "other") {
			t.Errorf("told of another schedule: %s", told)
		}
	}
}
