package cloudevents_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/google/go-cmp/cmp"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

var update = flag.Bool("update", false, "write the golden files")

const golden = "testdata/messages.txt"

var at = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.FixedZone("JST", 9*3600))

func id(t *testing.T, text string) domain.ID {
	t.Helper()
	parsed, err := domain.ParseID(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func scheduleRow(t *testing.T, version int64, kind domain.EventType) outbox.Row {
	t.Helper()
	return outbox.Row{
		Position: 7, Aggregate: id(t, "019ca93d-4000-7000-8000-00000000002a"), Version: version, Type: kind, At: at,
		Data: json.RawMessage(fmt.Sprintf(`{"id":"019ca93d-4000-7000-8000-00000000002a", "version":%d,"name":"日報 <b> & \u0000"}`, version)),
	}
}

func runRow(t *testing.T) outbox.Row {
	t.Helper()
	return outbox.Row{
		Position: 8, Aggregate: id(t, "019ca93d-4000-7000-8000-0000000000ff"), Version: 1, Type: domain.RunDue, At: at,
		Data: json.RawMessage(`{"schedule_id":"019ca93d-4000-7000-8000-00000000002a","run_id":"019ca93d-4000-7000-8000-0000000000ff",` +
			`"due_at":"2026-03-01T03:00:00.000000Z","kind":"scheduled","schedule_name":"report","task_name":"app.report","args":[1.0,"two"],"kwargs":{"big":12345678901234567890},"stream":"jobs"}`),
	}
}

// messages returns one message of every kind, by name.
func messages(t *testing.T) (names []string, all map[string]*message.Message) {
	t.Helper()
	all = map[string]*message.Message{}
	add := func(name string, m *message.Message, err error) {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		names = append(names, name)
		all[name] = m
	}
	for i, kind := range []domain.EventType{
		domain.ScheduleCreated, domain.ScheduleUpdated, domain.ScheduleDisabled, domain.ScheduleEnabled,
		domain.ScheduleInvalidated, domain.ScheduleDeleted,
	} {
		m, err := cloudevents.Schedule(scheduleRow(t, int64(i+1), kind), "k3v9")
		add(string(kind), m, err)
	}
	traced := scheduleRow(t, 7, domain.ScheduleUpdated)
	traced.Headers = json.RawMessage(`{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","depth":3}`)
	m, err := cloudevents.Schedule(traced, "k3v9")
	add("traced", m, err)
	m, err = cloudevents.Run(runRow(t), "k3v9")
	add(string(domain.RunDue), m, err)
	m, err = cloudevents.EpochStarted("k3v9", at)
	add(string(domain.LogEpochStarted), m, err)
	return names, all
}

func TestGolden(t *testing.T) {
	t.Parallel()
	names, all := messages(t)
	var b bytes.Buffer
	for _, name := range names {
		m := all[name]
		notice, err := cloudevents.Notice(m.Payload)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		metadata, err := json.Marshal(m.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\nuuid     %s\nmetadata %s\npayload  %s\nnotice   %s\n\n", name, m.UUID, metadata, m.Payload, notice)
	}
	if *update {
		if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("the published bytes have changed (-golden +now):\n%s", diff)
	}
}

func TestParseReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	names, all := messages(t)
	for _, name := range names {
		e, err := cloudevents.Parse(all[name].Payload)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		h, err := cloudevents.ParseHead(all[name].Payload)
		if err != nil || h != e.Head {
			t.Errorf("%s: the head alone is %+v, %v; want %+v", name, h, err, e.Head)
		}
		if e.ID != all[name].UUID || e.Epoch != "k3v9" || !e.Time.Equal(at) || !json.Valid(e.Data) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	e, err := cloudevents.Parse(all["traced"].Payload)
	if err != nil {
		t.Fatal(err)
	}
	row := scheduleRow(t, 7, domain.ScheduleUpdated)
	if e.Version() != 7 || e.Subject != row.Aggregate.String() || e.Type != row.Type || !bytes.Equal(e.Data, row.Data) {
		t.Errorf("%+v", e)
	}
	if log, err := cloudevents.Parse(all[string(domain.LogEpochStarted)].Payload); err != nil || log.Version() != 0 || log.Subject != "" {
		t.Errorf("%+v, %v", log, err)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"nothing":       ``,
		"no JSON":       `{"specversion":"1.0","id":"a/1"`,
		"a list":        `[]`,
		"later version": `{"specversion":"2.0","id":"a/1","source":"/tactus","type":"schedule.created","time":"2026-03-01T12:00:00Z","data":{}}`,
		"no id":         `{"specversion":"1.0","source":"/tactus","type":"schedule.created","time":"2026-03-01T12:00:00Z","data":{}}`,
		"no type":       `{"specversion":"1.0","id":"a/1","source":"/tactus","time":"2026-03-01T12:00:00Z","data":{}}`,
		"bad time":      `{"specversion":"1.0","id":"a/1","source":"/tactus","type":"schedule.created","time":"noon","data":{}}`,
	} {
		if e, err := cloudevents.Parse([]byte(payload)); err == nil {
			t.Errorf("%s: %+v", name, e)
		}
		if h, err := cloudevents.ParseHead([]byte(payload)); err == nil {
			t.Errorf("%s: its head is %+v", name, h)
		}
		if n, err := cloudevents.Notice([]byte(payload)); err == nil {
			t.Errorf("%s: its notice is %s", name, n)
		}
	}
}

// TestParseHeadOfAnyLayout decodes envelopes in which data is not the last member, or looks like one.
func TestParseHeadOfAnyLayout(t *testing.T) {
	t.Parallel()
	for _, payload := range []string{
		`{"data":{"id":"b"},"specversion":"1.0","id":"a/1","source":"/tactus","type":"schedule.created","time":"2026-03-01T12:00:00Z","epoch":"k3v9"}`,
		`{"specversion":"1.0","data":{"x":1,"data":2},"id":"a/1","source":"/tactus","type":"schedule.created","time":"2026-03-01T12:00:00Z","epoch":"k3v9"}`,
		`{"specversion":"1.0","id":"a/1","source":"/tactus","type":"schedule.created","time":"2026-03-01T12:00:00Z","data":{"specversion":"9"},"epoch":"k3v9"}`,
	} {
		e, err := cloudevents.Parse([]byte(payload))
		if err != nil {
			t.Fatal(err)
		}
		if h, err := cloudevents.ParseHead([]byte(payload)); err != nil || h.ID != e.ID || h.Type != e.Type {
			t.Errorf("%s: %+v, %v", payload, h, err)
		}
	}
}

func TestUnreadableRows(t *testing.T) {
	t.Parallel()
	noData := scheduleRow(t, 1, domain.ScheduleCreated)
	noData.Data = nil
	if m, err := cloudevents.Schedule(noData, "k3v9"); err == nil {
		t.Errorf("a row without data became %s", m.Payload)
	}
	headers := scheduleRow(t, 1, domain.ScheduleCreated)
	headers.Headers = json.RawMessage(`["traceparent"]`)
	if m, err := cloudevents.Schedule(headers, "k3v9"); err == nil {
		t.Errorf("headers that are a list became %v", m.Metadata)
	}
	run := runRow(t)
	run.Data = json.RawMessage(`{"schedule_id":"nobody"}`)
	if m, err := cloudevents.Run(run, "k3v9"); err == nil {
		t.Errorf("a run without a schedule became %s", m.Payload)
	}
}
