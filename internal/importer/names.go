package importer

import (
	"context"
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
// another source has it already. Lines of one command have numbers besides: each keeps that of the schedule with its
// time, so that it stays the same one when a line before it is taken out; a line whose time is new goes on as one whose time
// is gone.
func (i *Importer) name(ctx context.Context, entries []Entry, made []domain.Schedule) error {
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
		if e.Definition.Name = base; e.numbered {
			numbered[base] = append(numbered[base], e)
		}
	}
	for base, group := range numbered {
		number(base, group, made)
	}
	return nil
}

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

// number gives lines of one command their names: first those whose times are kept here, then the schedules that are left, in
// their order, and at last new ones.
func number(base string, group []*Entry, made []domain.Schedule) {
	free, used, atTime := map[string]domain.Schedule{}, map[string]bool{}, map[string][]string{}
	for _, s := range made {
		if unnumbered(s.Name) == base {
			free[s.Name] = s
		}
	}
	for _, name := range sortedKeys(free) {
		at := times(free[name].Definition)
		atTime[at] = append(atTime[at], name)
	}
	claim := func(e *Entry, name string) {
		e.Definition.Name, used[name] = name, true
		delete(free, name)
	}
	var rest []*Entry
	for _, e := range group {
		at := times(e.Definition)
		if names := atTime[at]; len(names) > 0 {
			claim(e, names[0])
			atTime[at] = names[1:]
		} else {
			rest = append(rest, e)
		}
	}
	for _, name := range sortedKeys(free) {
		if len(rest) > 0 {
			claim(rest[0], name)
			rest = rest[1:]
		}
	}
	for n, next := 1, base; len(rest) > 0; n, next = n+1, fmt.Sprintf("%s (%d)", base, n+1) {
		if !used[next] {
			claim(rest[0], next)
			rest = rest[1:]
		}
	}
}

// times is the same text for definitions that are due at the same times.
func times(d domain.Definition) string {
	expression, err := cron.Parse(d.CronExpression, cron.Options{Dialect: cron.Vixie, Seconds: d.CronSeconds})
	if err != nil {
		return "unreadable " + d.CronExpression
	}
	return fmt.Sprintf("%s %t", expression, d.CronSeconds)
}
