package celery_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/celery"
	"github.com/tactus-dev/tactus/internal/servers"
	"github.com/tactus-dev/tactus/internal/testenv"
)

// escapes are strings that JSON can express but Unicode text, or PostgreSQL, cannot: U+0000, and surrogates without
// their other half, as a cut emoji leaves them. Among them are texts that only look like such escapes.
const (
	escapedArgs   = `["\u0000","cut \ud83d","\ude00 cut","\ude00\ud83d","whole \ud83d\ude00","\\u0000 \\ud83d \\\u0000"]`
	escapedKwargs = `{"\ud83d":"in a name","a\u0000b":["\ud800","\udfff"]}`
)

// escapesArrive checks the arguments that a task was called with, by what it returns.
func escapesArrive(t *testing.T, l lab) {
	r := l.result(t, l.push(t, domain.DueRun{Task: domain.Task{TaskName: "app.echo", Args: raw(escapedArgs), Kwargs: raw(escapedKwargs)}}))
	if got, want := compact(t, r.Value), "["+escapedArgs+","+escapedKwargs+"]"; r.Status != celery.Success || got != want {
		t.Errorf("%s, arrived:\n%s, want\n%s", r.Status, got, want)
	}
}

// TestEscapesEqualCelerysBeat has Celery's own beat send the same task. It compares the bodies as text, because
// decoding would turn an escape and the character U+FFFD into the same.
func TestEscapesEqualCelerysBeat(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	testenv.Worker(t, servers.CeleryConfig{Beat: true, BrokerURL: l.broker.URL(0), App: fmt.Sprintf(`
import json

import celery

app = celery.Celery("app")
app.conf.beat_schedule = {
    "escapes": {"task": "app.echo", "schedule": 1.0, "args": json.loads(r'%s'), "kwargs": json.loads(r'%s')},
}
`, escapedArgs, escapedKwargs)})
	var theirs []byte
	testenv.Eventually(t, "a message of Celery's beat", func() (err error) {
		theirs, err = l.client.LIndex(t.Context(), "celery", -1).Bytes()
		return err
	})
	run := domain.DueRun{RunID: domain.ID(uuid.New()), Task: domain.Task{TaskName: "app.echo", Args: raw(escapedArgs), Kwargs: raw(escapedKwargs)}}
	_, ours, err := celery.Encode(run, "tag", celery.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := bodyText(t, ours), bodyText(t, theirs); got != want {
		t.Errorf("we send\n%s\nCelery's beat sends\n%s", got, want)
	}
}

func bodyText(t *testing.T, message []byte) string {
	t.Helper()
	var m struct{ Body string }
	if err := json.Unmarshal(message, &m); err != nil {
		t.Fatal(err)
	}
	text, err := base64.StdEncoding.DecodeString(m.Body)
	if err != nil {
		t.Fatal(err)
	}
	return compact(t, text)
}

func compact(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return b.String()
}
