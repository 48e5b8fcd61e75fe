package shadow

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tactus-dev/tactus/internal/celery"
)

// arguments are those of a task in a form that can be compared: without the order of an object's members, and without
// the difference between list and tuple. They are empty when the whole arguments are not known.
type arguments string

// shown returns the arguments of a definition, as Celery's events show them.
func shown(args, kwargs json.RawMessage) arguments {
	if args == nil && kwargs == nil {
		return ""
	}
	return argumentsOf(celery.Shown(args, kwargs))
}

var brackets = strings.NewReplacer("(", "", ")", "", "[", "", "]", "", "{", "", "}", "", " ", "", `"`, "'")

func argumentsOf(args, kwargs string) arguments {
	if strings.Contains(args+kwargs, "...") { // Celery has cut the text
		return ""
	}
	var parts []string
	for _, text := range []string{args, kwargs} {
		some := strings.Split(brackets.Replace(text), ",")
		slices.Sort(some)
		parts = append(parts, strings.TrimLeft(strings.Join(some, ","), ","))
	}
	return arguments(strings.Join(parts, ";"))
}

// differ reports whether both arguments are known and differ.
func (a arguments) differ(b arguments) bool { return a != "" && b != "" && a != b }

// match finds a task that was sent for each due time: first with the same arguments, then with any. It then pairs what
// is left over, from which the guesses are made.
func (c *comparison) match() {
	would, sent := map[string][]*would{}, map[string][]*sent{}
	for _, w := range c.would {
		would[w.Task] = append(would[w.Task], w)
	}
	for _, s := range c.sent {
		sent[s.Task] = append(sent[s.Task], s)
	}
	for _, task := range slices.Sorted(maps.Keys(would)) {
		matchTask(would[task], sent[task], false)
		matchTask(would[task], sent[task], true)
		pair(would[task], sent[task])
	}
}

// matchTask matches due times and tasks of one name. Both are in order of time, and each due time takes the first task
// that fits.
func matchTask(would []*would, tasks []*sent, anyArguments bool) {
	for _, w := range would {
		if w.match != nil {
			continue
		}
		from := w.Due.Add(-w.early) // other beats have no jitter
		first, _ := slices.BinarySearchFunc(tasks, from,
			func(s *sent, at time.Time) int { return cmp.Compare(s.At.UnixMicro(), at.UnixMicro()) })
		for _, s := range tasks[first:] {
			if s.At.After(w.Fires.Add(w.late)) {
				break
			}
			if s.match == nil && (anyArguments || !w.arguments.differ(s.arguments)) {
				w.match, s.match = s, w
				break
			}
		}
	}
}

// related is how far apart a task and a due time may be and still be paired.
const related = 25 * time.Hour

// pair sets the twin of each task that matches no due time: the nearest due time that matches no task either and has
// the same arguments.
func pair(would []*would, sent []*sent) {
	for _, s := range sent {
		if s.match != nil {
			continue
		}
		nearest := related
		for _, w := range would {
			if d := s.At.Sub(w.Fires).Abs(); w.match == nil && d < nearest && !w.arguments.differ(s.arguments) {
				s.twin, nearest = w, d
			}
		}
	}
}

// outsiders removes the tasks of senders that are not beats, and returns these senders. They are the senders none of
// whose tasks match, provided that some other sender's tasks do.
func (c *comparison) outsiders() (all []Outsider) {
	matches, tasks := map[string]int{}, map[string]int{}
	for _, s := range c.sent {
		tasks[s.Sender]++
		if s.match != nil {
			matches[s.Sender]++
		}
	}
	if len(matches) == 0 {
		return nil
	}
	for _, sender := range slices.Sorted(maps.Keys(tasks)) {
		if matches[sender] == 0 {
			all = append(all, Outsider{cmp.Or(sender, "(told by workers only)"), tasks[sender]})
		}
	}
	c.sent = slices.DeleteFunc(c.sent, func(s *sent) bool { return matches[s.Sender] == 0 })
	return all
}
