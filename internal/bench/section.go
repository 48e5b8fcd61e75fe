package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Section measures one part of what tactus promises.
type Section struct {
	Name  string
	About string
	Run   func(ctx context.Context, l *Lab) ([]Figure, error)
}

// Sections lists the sections that need no modules of others.
func Sections() []Section {
	return []Section{
		{"writes", "what a change costs a writer", Writes},
		{"relay", "from the log to Redis, and to who listens", relaySection},
		{"runs", "from a due time to a list of Celery, at full load and beyond", runsSection},
		{"beat", "load, memory, a burst of due times", beatSection},
		{"api", "what each endpoint takes in a full database", Answers},
	}
}

// parts returns a function that measures the parts of a section one after the other.
func parts(
	ctx context.Context, l *Lab, parts ...func(context.Context, *Lab) ([]Figure, error),
) (figures []Figure, err error) {
	for _, part := range parts {
		more, err := part(ctx, l)
		figures = append(figures, more...)
		if err != nil {
			return figures, err
		}
	}
	return figures, nil
}

// Choose selects sections by name; all when no name is given.
func Choose(all []Section, names []string) ([]Section, error) {
	if len(names) == 0 {
		return all, nil
	}
	var chosen []Section
	for _, name := range names {
		i := slices.IndexFunc(all, func(s Section) bool { return s.Name == name })
		if i < 0 {
			known := make([]string, len(all))
			for i, s := range all {
				known[i] = s.Name
			}
			return nil, fmt.Errorf("there is no section %q: want some of %s", name, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}

// Run measures sections one after the other. Beside an error it returns the figures measured before.
func Run(ctx context.Context, cfg Config, sections []Section) (report Report, err error) {
	start := time.Now()
	l, err := Open(ctx, cfg)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if report.Machine, err = l.machine(ctx); err != nil {
		return report, err
	}
	for _, s := range sections {
		l.Say("-- " + s.Name + ": " + s.About)
		figures, err := s.Run(ctx, l)
		for i := range figures {
			figures[i].Section = s.Name
		}
		report.Figures = append(report.Figures, figures...)
		if err != nil {
			return report, fmt.Errorf("section %s: %w", s.Name, err)
		}
	}
	report.Took = time.Since(start).Round(time.Second).String()
	return report, nil
}
