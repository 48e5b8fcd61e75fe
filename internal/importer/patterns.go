package importer

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/internal/oldbeat"
)

// overlaps returns how tactus routes the names that a pattern shares with other patterns differently from Celery.
// Celery uses the first matching pattern of task_routes, and tactus the longest. The application's own tasks are not
// affected, because each has a route of its own.
func (a Application) overlaps(pattern string) (differences []oldbeat.Difference) {
	for _, first := range a.order[:max(0, slices.Index(a.order, pattern))] {
		name, both := common(first, pattern)
		if !both || !preferred(pattern, first) {
			continue
		}
		a.patterns[first].compare(a.patterns[pattern], func(kind, _ string) {
			differences = append(differences, oldbeat.Difference{Code: kind, Message: fmt.Sprintf(
				"Celery sends %s by %s, which is listed first (%s), and tactus by the longer %s (%s)",
				name, first, a.patterns[first].where(), pattern, a.patterns[pattern].where())})
		})
	}
	return differences
}

// where describes where a message goes.
func (s sent) where() string {
	if s.Exchange != "" {
		return "exchange " + s.Exchange
	}
	return "queue " + text(s.Queue)
}

// preferred reports whether tactus prefers a pattern to another, as tactus.route_of does.
func preferred(pattern, other string) bool {
	n, m := utf8.RuneCountInString(pattern), utf8.RuneCountInString(other)
	return n > m || n == m && pattern < other
}

// firstOf returns the pattern by which Celery routes a task. found is false when no pattern matches its name.
func (a Application) firstOf(name string) (pattern string, found bool) {
	for _, pattern := range a.order {
		if _, matches := common(pattern, name); matches {
			return pattern, true
		}
	}
	return "", false
}

// common returns a name that both patterns match: * stands for any text, and ? for any character.
func common(a, b string) (name string, found bool) {
	m := matcher{[]rune(a), []rune(b), map[[2]int]bool{}}
	if name, found = m.from(0, 0); !found {
		return "", false
	}
	longer := name + "x" // an example in which a star stands for no text is a bad one
	if m.matched(longer) {
		return longer, true
	}
	return name, true
}

// matcher searches for a name that both patterns match. dead holds the pairs of places from which no such name was
// found.
type matcher struct {
	a, b []rune
	dead map[[2]int]bool
}

// from searches for a name that the rests of the patterns match, from places i and j.
func (m matcher) from(i, j int) (name string, found bool) {
	if i == len(m.a) && j == len(m.b) {
		return "", true
	}
	if m.dead[[2]int{i, j}] {
		return "", false
	}
	m.dead[[2]int{i, j}] = true // if a name is found from here, the search ends and does not look here again
	inA, inB := i < len(m.a), j < len(m.b)
	starA, starB := inA && m.a[i] == '*', inB && m.b[j] == '*'
	if starA {
		if name, found = m.from(i+1, j); found {
			return name, true
		}
	}
	if starB {
		if name, found = m.from(i, j+1); found {
			return name, true
		}
	}
	switch {
	case !inA || !inB || starA && starB:
		return "", false
	case starA:
		return m.then(m.b[j], i, j+1)
	case starB:
		return m.then(m.a[i], i+1, j)
	case m.a[i] == '?':
		return m.then(m.b[j], i+1, j+1)
	case m.b[j] == '?' || m.a[i] == m.b[j]:
		return m.then(m.a[i], i+1, j+1)
	}
	return "", false
}

// then searches on from places i and j for a name after the character c, which may be "?".
func (m matcher) then(c rune, i, j int) (name string, found bool) {
	if name, found = m.from(i, j); !found {
		return "", false
	}
	if c == '?' {
		c = 'x'
	}
	return string(c) + name, true
}

// matched reports whether both patterns match a name.
func (m matcher) matched(name string) bool {
	for _, pattern := range [][]rune{m.a, m.b} {
		if _, found := (matcher{pattern, []rune(name), map[[2]int]bool{}}).from(0, 0); !found {
			return false
		}
	}
	return true
}
