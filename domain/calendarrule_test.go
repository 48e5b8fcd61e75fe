package domain_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/calendar"
)

// closed are the days on which the exchange of Tokyo is closed around a turn of the year.
func closed(t testing.TB) domain.CalendarSets {
	t.Helper()
	set, err := calendar.Compile([]calendar.Item{
		{From: "2000-01-01", To: "2000-01-02", RRule: "FREQ=WEEKLY", Reason: "weekend"},
		{From: "2026-12-31", To: "2027-01-03", Reason: "年末年始"},
		{From: "2027-01-11", Reason: "成人の日"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return domain.CalendarSets{"closed": set}
}

func definitionOf(t testing.TB, text string) domain.Definition {
	t.Helper()
	d, err := domain.Decode([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d, _, err = d.Normalize(domain.Context{ID: scheduleID, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestCalendarPreview shows what calendars exclude, and what has moved, in words too.
func TestCalendarPreview(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		definition, en, ja string
		due, marks         []string
	}{
		{
			`{"preset_name":"market_open","exclude_calendars":["closed"],"timezone":"Asia/Tokyo","task_name":"t"}`,
			"At 09:00, Monday to Friday, Asia/Tokyo, except on days of closed", "closedの日を除く",
			[]string{"2026-12-30T09:00:00+09:00", "2027-01-04T09:00:00+09:00"},
			[]string{"excluded 2026-12-31T09:00:00+09:00  年末年始", "excluded 2027-01-01T09:00:00+09:00  年末年始"},
		},
		{
			`{"preset_name":"monthly_last_business_day","exclude_calendars":["closed"],"on_excluded":"previous_allowed","timezone":"Asia/Tokyo","task_name":"t"}`,
			"; otherwise on the previous allowed day", "（除かれた回は前の対象日）",
			[]string{"2026-12-30T09:00:00+09:00", "2027-01-29T09:00:00+09:00"},
			[]string{"shifted 2026-12-30T09:00:00+09:00 2026-12-31T09:00:00 年末年始", "excluded 2026-12-31T09:00:00+09:00  年末年始"},
		},
	} {
		p, err := definitionOf(t, c.definition).Preview(domain.Ask{After: at(t, "2026-12-29T12:00:00+09:00"), N: 2, Sets: closed(t)}, "")
		if err != nil {
			t.Fatal(err)
		}
		var due, marks []string
		for _, one := range p.DueTimes {
			due = append(due, one.Format(time.RFC3339))
		}
		for _, m := range p.Marks {
			marks = append(marks, strings.Join([]string{m.Mark, m.At.Format(time.RFC3339), m.Wall, m.Reason}, " "))
		}
		if diff := cmp.Diff(c.due, due); diff != "" {
			t.Errorf("due (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(c.marks, marks); diff != "" {
			t.Errorf("marks (-want +got):\n%s", diff)
		}
		if ja := definitionOf(t, c.definition).Describe("ja"); !strings.HasSuffix(p.Description, c.en) || !strings.HasSuffix(ja, c.ja) {
			t.Errorf("described: %s / %s", p.Description, ja)
		}
	}
}

// TestCalendarEdits changes the calendars of a schedule: its due times count from the edit on.
func TestCalendarEdits(t *testing.T) {
	t.Parallel()
	base := create(t, `{"name": "n", "task_name": "app.a", "cron_expression": "0 9 * * *", "exclude_calendars": ["b", "a", "b"]}`)
	if diff := cmp.Diff([]string{"a", "b"}, base.ExcludeCalendars); diff != "" || base.OnExcluded != calendar.Skip {
		t.Errorf("normalized: %+v", base.Definition)
	}
	later := now.Add(time.Hour)
	for patch, moves := range map[string]bool{
		`{"on_excluded":"next_allowed"}`: true, `{"exclude_calendars":["b","a"]}`: false, `{"exclude_calendars":null}`: true,
		`{"only_calendars":["a"]}`: true, `{"description":"d"}`: false,
	} {
		after := redefined(t, base, patch, later)
		if moved := after.EffectiveFrom.Equal(later); moved != moves {
			t.Errorf("%s moves due times: %v", patch, moved)
		}
		if names := after.Policy().Calendars.Names(); (len(names) == 0) != (after.OnExcluded == "") {
			t.Errorf("%s: calendars %v, on_excluded %q", patch, names, after.OnExcluded)
		}
	}
}

func TestCalendarFaults(t *testing.T) {
	t.Parallel()
	for members, want := range map[string]string{
		`"exclude_calendars":["a"],"only_calendars":["b"]`:               "calendar_ambiguous /only_calendars",
		`"exclude_calendars":["a b"]`:                                    "calendar_name_invalid /exclude_calendars/0",
		`"only_calendars":["a"],"on_excluded":"later"`:                   "choice_invalid /on_excluded",
		`"on_excluded":"skip"`:                                           "calendar_missing /on_excluded",
		`"on_excluded":"later"`:                                          "choice_invalid /on_excluded",
		`"only_calendars":["1","2","3","4","5","6","7","8","9","a","b"]`: "out_of_range /only_calendars",
	} {
		d, err := domain.Decode([]byte(`{"task_name":"t","cron_expression":"0 9 * * *",` + members + `}`))
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = d.Normalize(domain.Context{ID: scheduleID, Now: now})
		var got []string
		for _, f := range domain.FaultsOf(err) {
			got = append(got, f.Code+" "+f.Field)
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: %v, want %s", members, got, want)
		}
	}
}

// TestSettleSkipping draws policies and times: each due time has a run or is within one range, what is excluded never
// fires, and what fires is what would fire if the trigger had no other due times.
func TestSettleSkipping(t *testing.T) {
	t.Parallel()
	sets := closed(t)
	rapid.Check(t, func(rt *rapid.T) {
		d := definitionOf(t, `{"cron_expression":"`+rapid.SampledFrom([]string{"*/7 * * * *", "0 9 * * *", "0 0 * * 1-5"}).Draw(rt, "cron")+
			`","exclude_calendars":["closed"],"timezone":"Asia/Tokyo","task_name":"t","misfire_policy":"`+rapid.SampledFrom([]string{"latest", "all", "none"}).Draw(rt, "policy")+`"}`)
		p := d.Policy()
		trigger, anchor := d.Trigger()
		nominal, err := trigger.Recurrence(anchor)
		if err != nil {
			rt.Fatal(err)
		}
		f, err := p.Calendars.Filter(sets)
		if err != nil {
			rt.Fatal(err)
		}
		after := at(t, "2026-12-28T00:00:00Z").Add(time.Duration(rapid.IntRange(0, 20*1440).Draw(rt, "after")) * time.Minute)
		until := after.Add(time.Duration(rapid.IntRange(0, 5*1440).Draw(rt, "until")) * time.Minute)
		room := rapid.SampledFrom([]int{1, 3, 5000}).Draw(rt, "room")
		s := p.SettleSkipping(nominal, f, after, until, domain.DefaultTakeover, room)
		want := p.Settle(f.Apply(nominal), after, until, domain.DefaultTakeover, room)
		if !slices.EqualFunc(want.Fire, s.Fire, time.Time.Equal) {
			rt.Fatalf("fires %v, want %v", s.Fire, want.Fire)
		}
		for i, m := range s.Missed {
			if m.To.Before(m.From) || i > 0 && !m.From.After(s.Missed[i-1].To) {
				rt.Fatalf("ranges overlap: %v", s.Missed)
			}
		}
		if len(s.Fire) >= room {
			until = s.Fire[len(s.Fire)-1]
		}
		for due, ok := nominal.Next(after); ok && !due.After(until); due, ok = nominal.Next(due) {
			settled := slices.ContainsFunc(s.Fire, due.Equal)
			_, excluded := f.Excluded(due)
			if settled && excluded {
				rt.Fatalf("%s is excluded and fires", due)
			}
			for _, m := range s.Missed {
				settled = settled || !due.Before(m.From) && !due.After(m.To)
			}
			if !settled {
				rt.Fatalf("%s is not settled: %+v", due, s)
			}
		}
	})
}

// TestPolicyWithoutCalendars holds that what uses none has the text that it had before there were any.
func TestPolicyWithoutCalendars(t *testing.T) {
	t.Parallel()
	text := definitionOf(t, `{"cron_expression":"0 9 * * *","task_name":"t"}`).Policy().String()
	if want := `{"misfire":"latest","window":86400,"grace":60}`; text != want {
		t.Errorf("%s, want %s", text, want)
	}
	d := definitionOf(t, `{"cron_expression":"0 9 * * *","task_name":"t","only_calendars":["a"],"on_excluded":"next_allowed"}`)
	raw, err := json.Marshal(d.Policy())
	if err != nil {
		t.Fatal(err)
	}
	if want := `"calendars":{"only":["a"],"on_excluded":"next_allowed","timezone":"UTC","dst_gap":"auto","dst_overlap":"auto"}`; !strings.Contains(string(raw), want) {
		t.Errorf("%s", raw)
	}
}
