package oldbeat

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// field is a field of Celery's crontab: how many values it takes, and the smallest.
type field struct {
	name       string
	count, min int
}

var fields = []field{
	{"minute", 60, 0},
	{"hour", 24, 0},
	{"day_of_month", 31, 1},
	{"month_of_year", 12, 1},
	{"day_of_week", 7, 0},
}

// Accepts returns the reason why Celery's crontab refuses an expression of five fields, or nil when Celery accepts it.
// django-celery-beat stores expressions that Celery refuses, and never runs them.
func Accepts(expression string) error {
	parts := strings.Fields(expression)
	if len(parts) != len(fields) {
		return fmt.Errorf("%q: want %d fields", expression, len(fields))
	}
	for i, f := range fields {
		for part := range strings.SplitSeq(parts[i], ",") {
			if err := f.accepts(part); err != nil {
				return fmt.Errorf("%s %q: %w", f.name, parts[i], err)
			}
		}
	}
	return nil
}

// Celery matches these patterns at the beginning of a part, and ignores what follows.
var (
	rangeSteps = regexp.MustCompile(`^(\w+?)-(\w+)/(\w+)?`)
	fromTo     = regexp.MustCompile(`^(\w+?)-(\w+)`)
	starSteps  = regexp.MustCompile(`^\*/(\w+)?`)
)

func (f field) accepts(part string) error {
	if m := rangeSteps.FindStringSubmatch(part); m != nil {
		return firstError(f.number(m[1]), f.number(m[2]), step(m[3]))
	}
	if m := fromTo.FindStringSubmatch(part); m != nil {
		return firstError(f.number(m[1]), f.number(m[2]))
	}
	if m := starSteps.FindStringSubmatch(part); m != nil {
		return step(m[1])
	}
	if part == "*" {
		return nil
	}
	return f.number(part)
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func step(text string) error {
	if n, err := strconv.Atoi(text); err != nil || n == 0 {
		return fmt.Errorf("%q is not a step", text)
	}
	return nil
}

// number checks a number or, as Celery allows in every field, the first three letters of a weekday.
func (f field) number(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil {
		if len(text) < 3 {
			return fmt.Errorf("%q is not a number", text)
		}
		if n = strings.Index("sunmontuewedthufrisat", strings.ToLower(text[:3])); n < 0 || n%3 != 0 {
			return fmt.Errorf("%q is neither a number nor a weekday", text)
		}
		n /= 3
	}
	if strings.HasPrefix(text, "-") || n < f.min || n > f.min+f.count-1 {
		return fmt.Errorf("%d is not from %d to %d", n, f.min, f.min+f.count-1)
	}
	return nil
}
