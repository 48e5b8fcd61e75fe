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

// arguments are those of a task, so that they can be compared, whatever order the members of objects are in, and whether
// it is a list or a tuple. Empty where they are not known whole.
type arguments string

// shown are the arguments of a definition, as Celery shows them.
func shown(args, kwargs json.RawMessage) arguments {
	if args == nil && kwargs == nil {
		return ""
	}
	return argumentsOf(celery.Shown(args, kwargs))
}

var brackets = strings.NewReplacer("(", "", ")", "", "[", "", "]", "", "{", "", "}", "", " ", "", `"`, "'")

func argumentsOf(args, kwargs string) arguments {
	if strings.Contains(args+kwargs, "...") { // Celery has cut it
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

// differ tells whether they are known, and not the same.
func (a arguments) differ(b arguments) bool { return a != "" && b != "" && a != b }

// match finds for each due time a task that was sent: with the same arguments first, then with others. What is left is
// paired for the sake of a guess.
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

// matchTask goes through both in the order of time: the first task that fits is taken.
func matchTask(would []*would, tasks []*sent, anyArguments bool) {
	for _, w := range would {
		if w.match != nil {
			continue
		}
		from := w.Due.Add(-w.early) // another beat knows no jitter
		first, _ := slices.BinarySearchFunc(tasks, from, func(s *sent, at time.Time) int { return cmp.Compare(s.At.UnixMicro(), at.UnixMicro()) })
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

// related is how far apart two may be and still be thought to be the same.
const related = 25 * time.Hour

// pair gives a task without a due time the nearest due time without a task, when it is the same task with the same arguments.
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

// outsiders takes out what was sent by others than beats, and tells who they are: senders none of whose tasks match, when
// another's do.
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
