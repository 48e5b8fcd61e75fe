package beat

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/internal/transcript"
)

// TestTranscripts plays the scripts of testdata/transcripts on a real PostgreSQL whose clock the script sets, and
// compares what happens with what the transcript says.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	transcript.Play(t, func(t *testing.T, blocks []transcript.Block) { newStage(t).play(blocks) })
}

// stage is a world in which a script is played.
type stage struct {
	*world
	zone      *time.Location // in which instants are read and written
	actors    []*actor
	schedules map[string]domain.ID
	passed    time.Duration       // since the beginning, by a clock that does not step
	clockTold bool                // a step of PostgreSQL's clock is part of the script
	seen      map[string]struct{} // what has been told of runs
	lines     []string            // what has happened in this block
}

// actor is a beat of the script.
type actor struct {
	*Beat
	name   string
	paused bool
	frozen *firing       // what it had decided when it was stopped in the middle
	asked  time.Duration // when it asked for the lease, by the clock that does not step
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{world: newWorld(t), zone: time.UTC, schedules: map[string]domain.ID{}, seen: map[string]struct{}{}}
	s.setClock(time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC))
	return s
}

func (s *stage) play(blocks []transcript.Block) {
	s.Helper()
	for n := range blocks {
		s.lines = nil
		for _, line := range blocks[n].Commands {
			c, err := transcript.ReadCommand(line)
			if err == nil {
				err = s.do(c)
			}
			if err != nil {
				s.Fatalf("%s: %v", line, err)
			}
		}
		blocks[n].Happened = s.lines
	}
	fired := s.count(`select count(*) from tactus.runs where status = 'due' and not waiting or status = 'succeeded'`)
	if events := s.count(`select count(*) from tactus.outbox where topic = 'run' and type = 'run.due'`); fired != events {
		s.Errorf("%d runs have fired, there are %d events", fired, events)
	}
}

// do does what one line of the script says.
func (s *stage) do(c transcript.Command) error {
	name := c.Word(1)
	s.clockTold = c.Word(0) == "clock"
	switch c.Word(0) {
	case "zone":
		return s.setZone(name)
	case "time":
		return s.setTime(strings.Join(c.Words[1:], " "))
	case "start":
		return s.start(name, c)
	case "create":
		return s.createSchedule(name, c)
	case "edit", "disable", "enable", "delete", "finish", "pause-until", "skip":
		return s.change(c.Word(0), name, c)
	case "advance":
		return s.pass(name)
	case "clock":
		return s.stepClock(name, c.Word(2))
	case "lease":
		return s.tellLease()
	case "states":
		return s.tellStates()
	}
	for _, a := range s.actors {
		if a.name == name {
			return s.act(a, c)
		}
	}
	return fmt.Errorf("nobody knows the command, or a beat of the name %q", name)
}

func (s *stage) setZone(name string) (err error) {
	s.zone, err = time.LoadLocation(name)
	return err
}

func (s *stage) setTime(text string) error {
	now, err := time.ParseInLocation("2006-01-02 15:04:05", text, s.zone)
	if err == nil {
		s.setClock(now)
	}
	return err
}

// start starts a beat: poll= has it read the log at another interval than a second.
func (s *stage) start(name string, c transcript.Command) error {
	a := &actor{name: name, asked: s.passed}
	poll, _ := time.ParseDuration(c.Values["poll"])
	beat, err := New(s.pool, nil, Config{Name: name, Poll: poll, Log: slog.New(teller{s, a})})
	if err != nil {
		return err
	}
	// The machine may be busy: what takes real time is none of the script's.
	beat.backfills.within, beat.syncs.every = partTimeout, 500*time.Millisecond
	a.Beat = beat
	beat.parallel = sideBySide{2, 1} // also of few due times
	beat.clock.trusting = true
	if err := beat.start(s.Context()); err != nil {
		return err
	}
	s.actors = append(s.actors, a)
	s.settle()
	return nil
}

// act is what is done to a beat.
func (s *stage) act(a *actor, c transcript.Command) error {
	switch c.Word(0) {
	case "stop":
		s.stop(a.Beat)
		s.leave(a)
	case "kill":
		s.leave(a)
	case "pause":
		a.paused = true
	case "freeze": // stopped between its decision and its statement
		due, err := a.collect(s.Context(), s.now.UnixMicro())
		a.paused, a.frozen = true, &due
		return err
	case "resume":
		return s.resume(a)
	case "lose":
		a.receive(notice{lost: strings.Join(c.Words[2:], " ")})
		s.settle()
	case "notify":
		version := s.count(`select version from tactus.schedules where id = $1`, s.schedules[c.Word(2)])
		a.receive(parseEvent(s.told(s.schedules[c.Word(2)], int64(version), "e")))
		s.settle()
	default:
		return fmt.Errorf("there is no command %q", c.Word(0))
	}
	return nil
}

func (s *stage) leave(a *actor) {
	s.actors = slices.DeleteFunc(s.actors, func(other *actor) bool { return other == a })
}

// resume has a beat go on where it was stopped.
func (s *stage) resume(a *actor) error {
	a.paused = false
	if due := a.frozen; due != nil {
		a.frozen = nil
		out, err := a.settleOrBisect(s.Context(), due.decisions)
		a.putBack(due)
		if err != nil {
			return err
		}
		if out.Held {
			s.tell(a.name, fmt.Sprintf("its statement recorded %d", out.Recorded))
		} else {
			s.tell(a.name, "its statement does nothing: the lease has another term")
		}
	}
	s.settle()
	return nil
}

// createSchedule creates a schedule. Intervals count from a full minute unless the script says otherwise.
func (s *stage) createSchedule(name string, c transcript.Command) error {
	members := map[string]any{"name": name, "task_name": "app.task"}
	if c.Values["interval_seconds"] != "" {
		members["interval_anchor"] = "2026-01-01T00:00:00Z"
	}
	maps.Copy(members, c.Members())
	definition, err := json.Marshal(members)
	if err != nil {
		return err
	}
	created := s.create(string(definition))
	s.schedules[name] = created.ID
	s.tellNext(created, "created")
	return nil
}

func (s *stage) tellNext(schedule domain.Schedule, what string) {
	next, ok := schedule.Next(s.now)
	if !ok || !*schedule.Enabled {
		s.tell(schedule.Name, fmt.Sprintf("%s, version %d", what, schedule.Version))
		return
	}
	s.tell(schedule.Name, fmt.Sprintf("%s, version %d, next due %s", what, schedule.Version, s.time(next)))
}

// change is what a user does to a schedule, or what a worker tells of its runs.
func (s *stage) change(how, name string, c transcript.Command) error {
	id := s.schedules[name]
	switch how {
	case "edit":
		patch, err := json.Marshal(c.Members())
		if err != nil {
			return err
		}
		s.tellNext(s.merge(id, string(patch)), "edited")
	case "enable", "disable":
		changed, err := s.store.SetEnabled(s.Context(), id, 0, how == "enable")
		if err != nil {
			return err
		}
		s.tellNext(changed, how+"d")
	case "pause-until":
		paused, err := s.store.Disable(s.Context(), id, 0, func(before domain.Schedule, now time.Time) (domain.Pause, error) {
			return before.NewPause("", s.now.Format(time.DateOnly)+"T"+c.Word(2), now)
		})
		if err != nil {
			return err
		}
		s.tellNext(paused, "disabled until "+s.time(paused.PausedUntil))
	case "skip":
		count, err := strconv.Atoi(c.Word(2))
		if err != nil {
			return err
		}
		skips, err := s.store.Skip(s.Context(), id, 0, count, c.Values["by"], strings.ReplaceAll(c.Values["reason"], "_", " "))
		if err != nil {
			return err
		}
		s.tellNext(skips, "skips")
	case "delete":
		s.tell(name, "deleted")
		return s.store.Delete(s.Context(), id, 0)
	case "finish":
		s.execute(`update tactus.runs set status = 'succeeded', finished_at = clock_timestamp()
			where schedule_id = $1 and status = 'due' and not waiting`, id)
		s.tell(name, "its run has finished")
	}
	return nil
}

// pass lets time pass. Beats act when something is due, and at least every grain: a second, or a sixtieth of a long
// time.
func (s *stage) pass(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil {
		return err
	}
	end := s.now.Add(d)
	grain := max(time.Second, d/60)
	for s.now.Before(end) {
		began, next := s.now, s.now.Add(grain)
		for _, a := range s.actors {
			fires := time.UnixMicro(a.memory.NextFire())
			if !a.paused && a.lease.leading && fires.After(s.now) && fires.Before(next) {
				next = fires
			}
		}
		if next.After(end) || len(s.actors) == 0 {
			next = end
		}
		s.setClock(next)
		s.passed += next.Sub(began)
		s.settle()
	}
	return nil
}

// settle has all beats do what is due now, the leader first.
func (s *stage) settle() {
	s.Helper()
	slices.SortStableFunc(s.actors, func(a, b *actor) int {
		switch {
		case a.lease.leading && !b.lease.leading:
			return -1
		case b.lease.leading && !a.lease.leading:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	for _, a := range slices.Clone(s.actors) {
		if !a.paused {
			s.stepActor(a)
		}
	}
}

// stepActor has a beat do what is due now. Its monotonic clock has gone on as the script says, not as the test did.
func (s *stage) stepActor(a *actor) {
	s.Helper()
	asked := localNow().Add(a.asked - s.passed)
	a.lease.asked = asked
	a.clock.mu.Lock()
	a.clock.server, a.clock.heard = s.now, localNow()
	a.clock.mu.Unlock()
	s.step(a.Beat, s.now)
	if a.lease.asked != asked {
		a.asked = s.passed
	}
	s.tellRuns(a)
}

// stepClock has PostgreSQL's clock step. Each beat learns of it at its next poll; until then it goes by the old time.
func (s *stage) stepClock(where, by string) error {
	d, err := time.ParseDuration(by)
	if err != nil {
		return err
	}
	if where == "back" {
		d = -d
	}
	believed := s.now.Add(DefaultPoll)
	s.setClock(s.now.Add(d))
	for _, a := range s.actors {
		if _, err := a.step(s.Context(), believed.UnixMicro()); err != nil {
			return err
		}
		s.tellRuns(a)
	}
	s.settle()
	return nil
}

// tellStates tells the state of each schedule that was ever created, and whether the first beat has it in memory.
func (s *stage) tellStates() error {
	for _, name := range slices.Sorted(maps.Keys(s.schedules)) {
		state := "deleted"
		schedule, err := s.store.Get(s.Context(), s.schedules[name])
		if err == nil {
			state = schedule.State()
		} else if !errors.Is(err, domain.ErrNotFound) {
			return err
		}
		if _, known := s.actors[0].memory.Find(s.schedules[name]); known {
			state += ", in memory"
		}
		s.tell(name, state)
	}
	return nil
}

func (s *stage) tellLease() error {
	var holder string
	var term int64
	var watermark *time.Time
	err := s.pool.QueryRow(s.Context(), `select split_part(holder, '/', 1), epoch, watermark from tactus.leases
		where name = 'beat'`).Scan(&holder, &term, &watermark)
	if err != nil {
		return err
	}
	text := "no watermark yet"
	if watermark != nil {
		text = "watermark " + s.time(*watermark)
	}
	s.tell("the lease", fmt.Sprintf("holder %s, term %d, %s", holder, term, text))
	return nil
}

func (s *stage) time(at time.Time) string {
	at = at.In(s.zone)
	text := at.Format("15:04:05.999999")
	if day := at.Format("2 January "); day != s.now.In(s.zone).Format("2 January ") {
		text = day + text
	}
	if s.zone != time.UTC {
		text += at.Format(" MST")
	}
	return text
}

// tell adds a line to what happened.
func (s *stage) tell(who, what string) {
	s.lines = append(s.lines, fmt.Sprintf("%s  %s: %s", s.time(s.now), who, what))
}

var runPhrases = map[string]string{
	"fires": "fires %s, due %s", "waits": "keeps %s waiting, due %s", "missed": "records %s as missed, due %s",
	"skipped": "skips %s, due %s",
}

const newRuns = `
select r.id::text || r.status, s.name, r.due_at, r.until,
    case when r.waiting then 'waits' when r.status = 'due' then 'fires' else r.status end, coalesce(r.reason, '')
from tactus.runs r join tactus.schedules s on s.id = r.schedule_id
where r.status <> 'succeeded' order by r.due_at, s.name`

// tellRuns tells what a beat has just settled.
func (s *stage) tellRuns(a *actor) {
	s.Helper()
	rows, err := s.pool.Query(s.Context(), newRuns)
	if err != nil {
		s.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key, name, how, reason string
		var due time.Time
		var until *time.Time
		if err := rows.Scan(&key, &name, &due, &until, &how, &reason); err != nil {
			s.Fatal(err)
		}
		if _, told := s.seen[key]; told {
			continue
		}
		s.seen[key] = struct{}{}
		text := fmt.Sprintf(runPhrases[how], name, s.time(due))
		if until != nil && !until.Equal(due) {
			text += " to " + s.time(*until)
		}
		if late := s.now.Sub(due); how == "fires" && late > 0 {
			text += fmt.Sprintf(", %s late", late)
		}
		if reason != "" {
			text += ": " + reason
		}
		s.tell(a.name, text)
	}
	if err := rows.Err(); err != nil {
		s.Fatal(err)
	}
}
