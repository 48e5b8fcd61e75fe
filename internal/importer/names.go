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

// name gives each entry the name under which it is kept here. That is its own, with the source's label where the schedule of
// another source has it already. Lines of one command have numbers besides ([number]).
func (i *Importer) name(ctx context.Context, entries []Entry, made []kept) error {
	known := map[string]bool{}
	for _, s := range made {
		known[unnumbered(s.Name)] = true
	}
	numbered := map[string][]*Entry{}
	for n := range entries {
		e := &entries[n]
		if name := e.Definition.Name; strings.Contains(name, "\x00") || !utf8.ValidString(name) {
			e.refuse("utf8_invalid at /name: a name is UTF-8 text without NUL, which this is not: rename the entry there")
			continue // no schedule can have this name, and PostgreSQL cannot be asked for it
		}
		base, err := i.base(ctx, e.Definition.Name, known)
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

// renamed is said of an entry that has another name here than there.
const renamed = "its name here has its source behind it, because a schedule from another source has the name"

// base is the name of an entry without a number. known are those of the schedules that came from the source before.
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

// unnumbered leaves out the number with which a name ends.
func unnumbered(name string) string {
	if before, last, ok := cutLast(name, " ("); ok && strings.HasSuffix(last, ")") && strings.Trim(last[:len(last)-1], "0123456789") == "" {
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

// number gives lines of one command their names. A line is the schedule that has its time and its input; then the only one with
// its time, or the only one with its input. Lines that are left are taken for edited ones when as many schedules are
// left, and for new ones otherwise: a line that was taken out is not to live on in another one.
func number(base string, group []*Entry, made []kept) {
	n := numbering{lines: group}
	for _, k := range made {
		if unnumbered(k.Name) == base {
			n.free = append(n.free, k)
		}
	}
	slices.SortStableFunc(n.free, func(a, b kept) int { return cmp.Or(len(a.Name)-len(b.Name), strings.Compare(a.Name, b.Name)) })
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
			e.Notes = append(e.Notes, "it is taken for a new line, because which of its command's lines it was cannot be told")
		}
	}
	for number, next := 1, base; len(n.lines) > 0; number, next = number+1, fmt.Sprintf("%s (%d)", base, number+1) {
		if !taken[next] {
			n.lines[0].Definition.Name, n.lines = next, n.lines[1:]
		}
	}
}

// numbering is what is left of the lines of one command, and of the schedules that they had.
type numbering struct {
	lines []*Entry
	free  []kept
}

// match gives lines the names of the schedules that are alike by some key. Where more than one line or schedule has the same key
// they are left alone, or taken in their order.
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

// inputOf is the same text for lines that give a command the same input, environment and user.
func inputOf(d domain.Definition) string {
	hash := sha256.Sum256([]byte(compact(string(d.Kwargs))))
	return string(hash[:])
}

// times is the same text for definitions that are due at the same times.
func times(d domain.Definition) string {
	expression, err := cron.Parse(d.CronExpression, cron.Options{Dialect: cron.Vixie, Seconds: d.CronSeconds})
	if err != nil {
		return "unreadable " + d.CronExpression
	}
	return fmt.Sprintf("%s %t", expression, d.CronSeconds)
}
