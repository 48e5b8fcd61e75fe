package shadow_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/shadow"
)

// day is a day that was watched. The clocks of New York go back in it, at 06:00 UTC.
var day = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// past is a record in the making.
type past struct {
	*testing.T
	shadow.Record
}

func newPast(t *testing.T) *past {
	return &past{t, shadow.Record{Watches: []shadow.Watch{{Since: day, Until: day.Add(24 * time.Hour)}}}}
}

// schedule adds a schedule that was made the day before.
func (p *past) schedule(members string) domain.Schedule {
	p.Helper()
	d, err := domain.Decode([]byte(`{"task_name": "app.task", ` + members + `}`))
	if err != nil {
		p.Fatal(err)
	}
	if d, _, err = d.Normalize(domain.Context{Now: day.AddDate(0, 0, -1)}); err != nil {
		p.Fatal(err)
	}
	s := domain.Schedule{ID: domain.ID{byte(len(p.Schedules) + 1)}, Definition: d, EffectiveFrom: day.AddDate(0, 0, -1)}
	p.Schedules = append(p.Schedules, s)
	return s
}

// decide has the shadow decide about everything that is due in the day.
func (p *past) decide(s domain.Schedule) *past {
	p.Helper()
	recurrence, err := s.Recurrence()
	if err != nil {
		p.Fatal(err)
	}
	for due, ok := s.Next(day); ok && due.Before(day.Add(24*time.Hour)); due, ok = s.Next(due) {
		task := s.Task()
		p.Decisions = append(p.Decisions, shadow.Decision{
			Schedule: s.ID, Due: due,
			Fires: s.Policy().FireAt(s.ID, recurrence, due), Fate: shadow.Fire, Name: s.Name, Task: s.TaskName,
			Args: task.Args, Kwargs: task.Kwargs,
		})
	}
	return p
}

// send has the old beat send a task every so often, from an instant on.
func (p *past) send(from time.Duration, every time.Duration, args ...string) *past {
	for at := day.Add(from); at.Before(day.Add(24 * time.Hour)); at = at.Add(every) {
		p.sendOne(at, "gen1@host", args...)
	}
	return p
}

func (p *past) sendOne(at time.Time, sender string, args ...string) {
	s := shadow.Sent{ID: fmt.Sprint(len(p.Sent)), Task: "app.task", Args: "()", Kwargs: "{}", Sender: sender, At: at}
	if len(args) == 2 {
		s.Args, s.Kwargs = args[0], args[1]
	}
	p.Sent = append(p.Sent, s)
}

func (p *past) report() shadow.Report {
	return shadow.Compare(p.Record, shadow.Tolerance{
		Early: 2 * time.Second, Late: 10 * time.Second,
		DefaultQueue: "celery",
	}, day, day.Add(24*time.Hour))
}

// TestCompare has the old beat do what it does, and looks at what is made of it: what would fire, what was sent, what
// matches, what only one of them did, what is let pass, and the first guess.
func TestCompare(t *testing.T) {
	t.Parallel()
	const long = 100 * time.Hour
	for _, c := range []struct {
		name, members, want, guess string
		old                        func(*past)
	}{
		{
			"at once, and here with jitter", `"cron_expression": "0 * * * *", "jitter_seconds": 1200`, "23 23 23 0 0 0",
			"", func(p *past) { p.send(time.Hour, time.Hour) },
		},
		{"deleted here", `"cron_expression": "0 9 * * *"`, "0 1 0 0 1 0", "it was deleted here", func(p *past) {
			p.Decisions, p.Schedules[0].DeletedAt = nil, day
			p.send(9*time.Hour, long)
		}},
		{
			"on time", `"cron_expression": "0 * * * *"`, "23 23 23 0 0 0", "",
			func(p *past) { p.send(time.Hour, time.Hour) },
		},
		{
			"a little late", `"cron_expression": "0 * * * *"`, "23 23 23 0 0 0", "",
			func(p *past) { p.send(time.Hour+11*time.Second, time.Hour) },
		},
		{
			"too late", `"cron_expression": "0 9 * * *"`, "1 1 0 1 1 0", "14s later: it was late",
			func(p *past) { p.send(9*time.Hour+14*time.Second, long) },
		},
		{
			"in another zone", `"cron_expression": "0 9 * * *", "timezone": "Europe/Berlin"`, "1 1 0 1 1 0",
			"1h0m0s later: another time zone", func(p *past) { p.send(9*time.Hour, long) },
		},
		{
			"the repeated hour", `"cron_expression": "30 * * * *", "timezone": "America/New_York"`, "24 23 23 1 0 0",
			"the clocks change", func(p *past) {
				p.send(30*time.Minute, time.Hour)
				p.Sent = append(p.Sent[:6], p.Sent[7:]...) // 01:30 EST
			},
		},
		{
			"a recurrence", `"rrule": "DTSTART:20260101T003000\nRRULE:FREQ=HOURLY;INTERVAL=2"`, "12 12 12 0 0 0", "",
			func(p *past) { p.send(30*time.Minute, 2*time.Hour) },
		},
		{
			"a recurrence in the repeated hour",
			`"rrule": "DTSTART:20260101T003000\nRRULE:FREQ=HOURLY", "timezone": "America/New_York"`, "24 23 23 1 0 0",
			"the clocks change: the old beat's schedule", func(p *past) {
				p.send(30*time.Minute, time.Hour)
				p.Sent = append(p.Sent[:6], p.Sent[7:]...) // 01:30 EST
			},
		},
		{"Sunday as 7", `"cron_expression": "0 9 * * 7"`, "1 0 0 1 0 0", "has 7 for Sunday", func(p *past) {}},
		{
			"refused by Celery", `"cron_expression": "0 9 L-29 * *"`, "1 0 0 1 0 0", "Celery refuses the crontab",
			func(p *past) {},
		},
		{"not there", `"cron_expression": "0 9 * * *"`, "1 0 0 1 0 0", "never sent this task", func(p *past) {}},
		{
			"more often", `"cron_expression": "0 9 * * *"`, "1 24 1 0 22 1", "it is not due here then",
			func(p *past) { p.send(0, time.Hour) },
		},
		{"disabled here", `"cron_expression": "0 9 * * *", "enabled": false`, "0 1 0 0 1 0", "it is disabled here", func(p *past) { p.Decisions = nil; p.send(9*time.Hour, long) }},
		{
			"expired here", `"cron_expression": "0 9 * * *", "ends_at": "2026-11-01T08:00:00Z"`, "0 1 0 0 1 0",
			"it has expired here", func(p *past) { p.send(9*time.Hour, long) },
		},
		{
			"an interval of another phase", `"interval_seconds": 60, "interval_anchor": "2026-10-01T00:00:00Z"`,
			"1439 1440 1439 0 0 1", "", func(p *past) { p.send(31*time.Second, time.Minute) },
		},
		{
			"an interval that drifts", `"interval_seconds": 600, "interval_anchor": "2026-10-01T00:00:00Z"`,
			"143 144 143 0 0 1", "", func(p *past) { p.send(5*time.Minute, 10*time.Minute+2*time.Second) },
		},
		{
			"twice the interval", `"interval_seconds": 600, "interval_anchor": "2026-10-01T00:00:00Z"`,
			"143 72 72 71 0 0",
			"other times", func(p *past) { p.send(10*time.Minute, 20*time.Minute) },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newPast(t)
			p.decide(p.schedule(`"name": "n", ` + c.members))
			c.old(p)
			r := p.report()
			if len(r.Schedules) != 1 {
				t.Fatalf("%+v", r)
			}
			s := r.Schedules[0]
			if got := fmt.Sprint(s.WouldFire, s.OldSent, s.Matched, s.OnlyTactus, s.OnlyOld,
				s.Unjudged+s.Drifted); got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, s)
			}
			if same := s.OnlyTactus+s.OnlyOld == 0; r.Agree != same {
				t.Errorf("agree: %v of %+v", r.Agree, s)
			}
			var guess string
			if len(s.Examples) > 0 {
				guess = s.Examples[0].Guess
			}
			if !strings.Contains(guess, c.guess) || (c.guess == "") != (guess == "") {
				t.Errorf("guess %q, want %q", guess, c.guess)
			}
		})
	}
}

// TestArguments matches what was sent to the schedule with the same arguments, whatever the order of members.
func TestArguments(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.decide(p.schedule(`"name": "a", "cron_expression": "0 9 * * *", "args": [1, "é"], "kwargs": {"b": [1, 2.5], "a": null}`))
	p.decide(p.schedule(`"name": "b", "cron_expression": "0 9 * * *", "args": [2]`))
	p.decide(p.schedule(`"name": "c", "cron_expression": "0 9 * * *", "args": [3]`))
	for _, args := range [][]string{{"(2,)", "{}"}, {"(4,)", "{}"}, {"[1, 'é']", "{'a': None, 'b': [1, 2.5]}"}} {
		p.sendOne(day.Add(9*time.Hour), "gen1@host", args...)
	}
	r := p.report()
	for _, s := range r.Schedules {
		if want := map[string]int{"a": 0, "b": 0, "c": 1}[s.Name]; s.Matched != 1 || s.OtherArgs != want {
			t.Errorf("%+v", s)
		}
	}
	if r.Agree {
		t.Error("other arguments agree")
	}
}

// TestQueues has the old beat send to the queues that schedules, routes and defaults name, and to others.
func TestQueues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		members, to string
		route       domain.Route
		differs     bool
	}{
		{`"queue": "q"`, "q", domain.Route{}, false},
		{`"queue": "q"`, "celery", domain.Route{}, true},
		{`"queue": "q"`, "", domain.Route{}, false}, // only a worker told of it
		{`"priority": 1`, "celery", domain.Route{}, false},
		{`"priority": 1`, "fast", domain.Route{}, true},
		{`"priority": 1`, "fast", domain.Route{Queue: "fast"}, false},
		{`"exchange": "x", "routing_key": "k"`, "x/k", domain.Route{Queue: "fast"}, false},
		{`"exchange": "x"`, "celery", domain.Route{}, false},
		{`"exchange": "x"`, "fast", domain.Route{Queue: "fast"}, false},
		{`"exchange": "x"`, "celery", domain.Route{Queue: "fast"}, true},
	} {
		p := newPast(t)
		p.Routes = map[string]domain.Route{"app.task": c.route}
		p.decide(p.schedule(`"name": "a", "cron_expression": "0 9 * * *", ` + c.members))
		p.sendOne(day.Add(9*time.Hour), "gen1@host")
		p.Sent[0].To = c.to
		if r := p.report(); r.Agree == c.differs || r.Schedules[0].Matched != 1 ||
			(r.Schedules[0].OtherQueue > 0) != c.differs {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// TestWhatIsNotJudged leaves out a time in which nobody listened, one in which the shadow was away, and an application.
func TestWhatIsNotJudged(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	s := p.schedule(`"name": "n", "cron_expression": "0 * * * *"`)
	p.decide(s)
	p.send(time.Hour, time.Hour)
	p.Watches = []shadow.Watch{
		{Since: day, Until: day.Add(5*time.Hour + time.Minute)},
		{Since: day.Add(7*time.Hour + time.Minute), Until: day.Add(24 * time.Hour)},
	}
	p.Sent = append(p.Sent[:5], p.Sent[7:]...) // 06:00 and 07:00 were not heard
	away := day.Add(12 * time.Hour)
	missed := p.Decisions[9]
	missed.Fate, missed.Until = shadow.Missed, &away
	p.Decisions = append(append(p.Decisions[:9:9], missed), p.Decisions[12:]...) // 10:00 to 12:00
	for n := range 5 {
		p.sendOne(day.Add(time.Duration(n)*time.Hour+1234*time.Second), "web@host")
	}
	r := p.report()
	if row := r.Schedules[0]; !r.Agree || row.Unjudged != 5 || row.Matched != 18 || len(r.Others) != 1 ||
		r.Others[0].Sender != "web@host" || r.Others[0].Tasks != 5 {
		t.Errorf("%+v", r)
	}
}

// TestNothingHeard says what to set, and does not agree to anything.
func TestNothingHeard(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.decide(p.schedule(`"name": "n", "cron_expression": "0 * * * *"`))
	if r := p.report(); r.Agree || r.Compared || len(r.Notes) != 1 ||
		!strings.Contains(r.Notes[0], "task_send_sent_event") {
		t.Errorf("%+v", r)
	}
	p.send(time.Hour, time.Hour)
	for i := range p.Sent {
		p.Sent[i].Sender, p.Sent[i].Received = "", true
	}
	r := p.report()
	if !r.Agree || !r.Compared || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "what workers received") {
		t.Errorf("%+v", r)
	}
	if raw, err := json.Marshal(r); err != nil || !strings.Contains(string(raw), `"only_tactus":0`) {
		t.Errorf("%s, %v", raw, err)
	}
	p.Watches = nil
	if r := p.report(); r.Agree || r.Compared || !strings.Contains(r.Notes[0], "no process has watched") {
		t.Errorf("%+v", r)
	}
}

// TestNothingCompared holds that two beats do not agree as long as nothing of theirs has matched or differed.
func TestNothingCompared(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(*past){
		"nothing was due and nothing sent": func(*past) {},
		"nothing was due here": func(p *past) {
			p.schedule(`"name": "later", "cron_expression": "0 9 * * *"`)
			p.Schedules[0].CreatedAt = day.Add(12 * time.Hour)
			p.Schedules[0].EffectiveFrom = p.Schedules[0].CreatedAt
			p.sendOne(day.Add(9*time.Hour), "gen1@host")
		},
		"all is at the edge of what was watched": func(p *past) {
			p.decide(p.schedule(`"name": "noon", "cron_expression": "0 12 * * *"`))
			p.Watches = []shadow.Watch{{Since: day.Add(12 * time.Hour), Until: day.Add(13 * time.Hour)}}
			p.sendOne(day.Add(13*time.Hour), "gen1@host")
		},
	} {
		p := newPast(t)
		make(p)
		if r := p.report(); r.Agree || r.Compared || len(r.Notes) == 0 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestSentBeforeTheAdoption holds that what the old beat sent before a schedule was here is no difference, and that
// what it sent afterwards is.
func TestSentBeforeTheAdoption(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		since             time.Duration // how long after the beginning of the day it was adopted
		onlyOld, unjudged int
	}{{12 * time.Hour, 0, 12}, {12*time.Hour + time.Second, 0, 12}, {-time.Hour, 12, 0}} {
		p := newPast(t)
		s := p.schedule(`"name": "hourly", "cron_expression": "0 * * * *"`)
		s.CreatedAt = day.Add(c.since)
		s.EffectiveFrom = s.CreatedAt
		if c.since < 0 { // it was edited at noon, and did not fire before
			s.EffectiveFrom = day.Add(12 * time.Hour)
		}
		p.Schedules[0] = s
		p.decide(s).send(time.Hour+500*time.Millisecond, time.Hour)
		row := p.report().Schedules[0]
		if row.OnlyOld != c.onlyOld || row.Unjudged != c.unjudged || row.OnlyTactus != 0 || row.Matched != 11 {
			t.Errorf("adopted after %s: %+v, want %d of the old beat only and %d not judged", c.since, row, c.onlyOld, c.unjudged)
		}
	}
}
