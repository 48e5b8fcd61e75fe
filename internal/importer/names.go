package importer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/cron"
	"github.com/tactus-dev/tactus/outbox"
)

// name sets the name of each entry's schedule. It is the entry's own name, with the source's label behind it if a
// schedule from another source has that name already. Lines of one command have numbers in addition ([number]).
func (i *Importer) name(ctx context.Context, entries []Entry, made []kept) error {
	known, knownNumbered := map[string]bool{}, map[string]bool{}
	for _, s := range made {
		known[s.Name], knownNumbered[unnumbered(s.Name)] = true, true
	}
	numbered := map[string][]*Entry{}
	alike := namedAlike(entries)
	for n := range entries {
		e := &entries[n]
		if name := e.Definition.Name; strings.Contains(name, "\x00") || !utf8.ValidString(name) {
			e.refuse("utf8_invalid at /name: the name is not UTF-8 text without NUL: rename the entry at its source")
			continue // no schedule can have this name, and PostgreSQL cannot be asked for it
		}
		if trimmed := strings.TrimSpace(e.Definition.Name); trimmed != e.Definition.Name {
			if alike[trimmed] > 1 {
				e.refuse("name_taken at /name: another entry has the name %q but for the spaces around it: rename one "+
					"of them at its source", trimmed)
			}
			e.Definition.Name = trimmed
			e.Notes = append(slices.Clone(e.Notes), withoutSpaces)
		}
		if e.Definition.Name == "" {
			e.refuse("required at /name: the entry has no name: give it one at its source")
			continue
		}
		names := known
		if e.numbered {
			names = knownNumbered
		}
		base, err := i.base(ctx, e.Definition.Name, names)
		if err != nil {
			return err
		}
		if base != e.Definition.Name {
			e.Notes = append(slices.Clone(e.Notes), renamed)
		}
		if e.Definition.Name = base; e.numbered {
			numbered[base] = append(numbered[base], e)
		}
	}
	for base, group := range numbered {
		number(base, group, made)
	}
	return nil
}

// namedAlike returns how many entries have a name, the spaces around it left out. Where there are several, the schedule
// comes from the entry that has exactly this name, or from none: on the way back, too, the schedule's last run is for
// the entry of exactly its name.
func namedAlike(entries []Entry) map[string]int {
	alike := map[string]int{}
	for _, e := range entries {
		alike[strings.TrimSpace(e.Definition.Name)]++
	}
	return alike
}

// renamed is the note on an entry whose schedule has another name than the entry.
const renamed = "its name here has its source behind it, because a schedule from another source has the name"

// withoutSpaces is the note on an entry whose name begins or ends with spaces.
const withoutSpaces = "its name here is without the spaces around it"

// base returns the name of an entry's schedule. known holds the names of the schedules that the source has already; for
// the lines of crontabs all of them are without numbers.
func (i *Importer) base(ctx context.Context, name string, known map[string]bool) (string, error) {
	labelled := fmt.Sprintf("%s [%s]", name, i.source.Label)
	switch {
	case known[labelled]:
		return labelled, nil
	case known[name]:
		return name, nil
	}
	other, err := outbox.GetByName(ctx, i.pool, name)
	switch {
	case errors.Is(err, domain.ErrNotFound):
		return name, nil
	case err != nil:
		return "", err
	case i.source.Label != "" && slices.ContainsFunc(other.Tags, isSource):
		return labelled, nil
	}
	return name, nil
}

func isSource(tag string) bool { return strings.HasPrefix(tag, "import:") }

// unnumbered returns a name without the number at its end.
func unnumbered(name string) string {
	if before, last, ok := cutLast(name, " ("); ok && strings.HasSuffix(last, ")") &&
		strings.Trim(last[:len(last)-1], "0123456789") == "" {
		return before
	}
	return name
}

func cutLast(text, separator string) (before, after string, found bool) {
	if n := strings.LastIndex(text, separator); n >= 0 {
		return text[:n], text[n+len(separator):], true
	}
	return text, "", false
}

// number names the lines of one command. A line keeps the schedule that has the same time and the same input; then the
// only one with the same time, or the only one with the same input. The rest of the lines count as edited if as many
// schedules are left over, and otherwise as new: a line that was deleted must not live on as another one.
func number(base string, group []*Entry, made []kept) {
	n := numbering{lines: group}
	for _, k := range made {
		if unnumbered(k.Name) == base {
			n.free = append(n.free, k)
		}
	}
	slices.SortStableFunc(n.free,
		func(a, b kept) int { return cmp.Or(len(a.Name)-len(b.Name), strings.Compare(a.Name, b.Name)) })
	taken := map[string]bool{}
	for _, k := range n.free {
		taken[k.Name] = true
	}
	n.match(func(time, input string) string { return time + "\x00" + input }, true)
	n.match(func(time, _ string) string { return time }, false)
	n.match(func(_, input string) string { return input }, false)
	n.match(func(string, string) string { return "" }, len(n.lines) == len(n.free))
	if len(n.free) > 0 {
		for _, e := range n.lines {
			e.Notes = append(e.Notes, "it counts as a new line, because it cannot be matched to one of the earlier "+
				"lines of its command")
		}
	}
	for number, next := 1, base; len(n.lines) > 0; number, next = number+1, fmt.Sprintf("%s (%d)", base, number+1) {
		if !taken[next] {
			n.lines[0].Definition.Name, n.lines = next, n.lines[1:]
		}
	}
}

// numbering holds the lines of one command that have no name yet, and the schedules that have no line yet.
type numbering struct {
	lines []*Entry
	free  []kept
}

// match names lines after the schedules that have the same key. If several lines or schedules share a key, match pairs
// them in their order, or with inOrder false leaves them unnamed.
func (n *numbering) match(key func(time, input string) string, inOrder bool) {
	lines, free := map[string][]*Entry{}, map[string][]kept{}
	for _, e := range n.lines {
		k := key(times(e.Definition), inputOf(e.Definition))
		lines[k] = append(lines[k], e)
	}
	for _, schedule := range n.free {
		k := key(schedule.time, schedule.input)
		free[k] = append(free[k], schedule)
	}
	gone, named := map[string]bool{}, map[*Entry]bool{}
	for k, among := range lines {
		if !inOrder && (len(among) != 1 || len(free[k]) != 1) {
			continue
		}
		for i := range min(len(among), len(free[k])) {
			among[i].Definition.Name = free[k][i].Name
			gone[free[k][i].Name], named[among[i]] = true, true
		}
	}
	n.lines = slices.DeleteFunc(slices.Clone(n.lines), func(e *Entry) bool { return named[e] })
	n.free = slices.DeleteFunc(n.free, func(k kept) bool { return gone[k.Name] })
}

// inputOf returns a text that is equal for lines with the same input, environment and user.
func inputOf(d domain.Definition) string {
	hash := sha256.Sum256([]byte(compact(string(d.Kwargs))))
	return string(hash[:])
}

// times returns a text that is equal for definitions with the same due times.
func times(d domain.Definition) string {
	expression, err := cron.Parse(d.CronExpression, cron.Options{Dialect: cron.Vixie, Seconds: d.CronSeconds})
	if err != nil {
		return "unreadable " + d.CronExpression
	}
	return fmt.Sprintf("%s %t", expression, d.CronSeconds)
}
