package importer_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tactus-dev/tactus/internal/importer"
)

const unprintableApp = `
import celery
from celery.schedules import crontab

class Mute:
    def __repr__(self):
        raise RuntimeError("it has no text")
    def __reduce__(self):
        raise TypeError("it has no pickle")

class MuteCrontab(crontab):
    def __repr__(self):
        raise RuntimeError("it has no text")

app = celery.Celery("app", broker="redis://localhost:1/0", backend="redis://localhost:1/1")
app.conf.beat_schedule = {
    "an argument": {"task": "app.a", "schedule": 10, "args": (Mute(),)},
    "the arguments": {"task": "app.a", "schedule": 10, "args": Mute()},
    "the keywords": {"task": "app.a", "schedule": 10, "kwargs": Mute()},
    "a lambda": {"task": "app.a", "schedule": 10, "kwargs": {"f": lambda: 1}},
    "an option": {"task": "app.a", "schedule": 10, "options": {"priority": Mute()}},
    "a header": {"task": "app.a", "schedule": 10, "options": {"headers": {"x": Mute()}}},
    "the schedule": {"task": "app.a", "schedule": Mute()},
    "the task": {"task": Mute(), "schedule": 10},
    "the entry": Mute(),
    Mute(): {"task": "app.a", "schedule": 10},
    "a crontab": {"task": "app.a", "schedule": MuteCrontab()},
    "good": {"task": "app.a", "schedule": 10},
}
`

// TestObjectsWithoutTexts has objects that can neither be printed nor pickled in each place of an entry: each is
// refused alone, and an object that only the schedule of Celery needs comes in.
func TestObjectsWithoutTexts(t *testing.T) {
	t.Parallel()
	application, err := importer.ParseApplication(runScript(t, unprintableApp))
	if err != nil {
		t.Fatal(err)
	}
	if len(application.Entries) != 12 {
		t.Errorf("%d entries of 12", len(application.Entries))
	}
	for _, e := range application.Entries {
		name := e.Definition.Name
		if comes := name == "good" || name == "a crontab"; comes != (e.Refused == "") {
			t.Errorf("%s: %q", name, e.Refused)
		}
		if e.Refused != "" && !strings.Contains(e.Refused, ": correct the entry") && !strings.Contains(e.Refused, ": give what JSON has") {
			t.Errorf("%s: %q names no mend", name, e.Refused)
		}
	}
}

// TestBrokersThatAreNoRedis has applications whose workers read from other brokers, to which tactus hands nothing over.
func TestBrokersThatAreNoRedis(t *testing.T) {
	t.Parallel()
	for broker, told := range map[string]string{
		`broker="amqp://rabbit//"`: "amqp", `broker="pyamqp://rabbit//"`: "pyamqp",
		`broker=["amqp://a//", "amqp://b//"]`: "amqp", ``: "amqp (Celery's own, since none is named)",
		`broker="redis://localhost:1/0"`: "", `broker="sentinel://localhost:1;sentinel://localhost:2"`: "",
		`broker="rediss://localhost:1/0"`: "", `broker="redis+socket:///redis.sock"`: "",
	} {
		application, err := importer.ParseApplication(runScript(t, `
import celery
app = celery.Celery("app", backend="redis://localhost:1/1", `+broker+`)
`))
		if err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprint(application.Notes)
		if want := "the broker of the application is " + told + ", and tactus hands tasks over to Redis only"; strings.Contains(got, "Redis only") !=
			(told != "") || told != "" && !strings.Contains(got, want) {
			t.Errorf("%s: %s", broker, got)
		}
	}
}
