package cron

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// aws reads cron(...), rate(...) and at(...), and the fields of cron without the word.
func (p *parser) aws(expression string, words []word) (Spec, error) {
	first := words[0]
	name, _, called := strings.Cut(first.text, "(")
	if !called {
		if err := p.fields(words, false); err != nil {
			return Spec{}, err
		}
		return p.finish()
	}
	start := first.at + len(name) + 1
	inside, closed := strings.CutSuffix(strings.TrimRight(expression[start:], " \t"), ")")
	if !closed {
		return Spec{}, &Error{CodeSyntax, "", first.text, first.at, "there is no ) at the end: want cron(...), rate(...) or at(...)"}
	}
	words = split(inside)
	for i := range words {
		words[i].at += start
	}
	switch strings.ToLower(name) {
	case "cron":
		if err := p.fields(words, false); err != nil {
			return Spec{}, err
		}
		return p.finish()
	case "rate":
		return p.rate(inside, start, words)
	case "at":
		return p.at(inside, start)
	}
	return Spec{}, &Error{CodeSyntax, "", name, first.at, "want cron(...), rate(...) or at(...)"}
}

// perUnit has the seconds of the units of rate, in the singular.
var perUnit = map[string]int64{"minute": 60, "hour": hour, "day": day}

// mostRate keeps the interval of a rate within a time.Duration.
const mostRate = 99_999

// rate reads a whole number and a unit.
func (p *parser) rate(inside string, at int, words []word) (Spec, error) {
	if len(words) == 2 {
		n, ok := number(words[0].text, 5)
		unit := strings.TrimSuffix(strings.ToLower(words[1].text), "s")
		if seconds, known := perUnit[unit]; ok && known && n >= 1 && n <= mostRate {
			p.spec.every = time.Duration(int64(n)*seconds) * time.Second
			if n > 1 {
				unit += "s"
			}
			p.spec.unusual().said = "rate(" + strconv.Itoa(n) + " " + unit + ")"
			return p.spec, nil
		}
	}
	hint := fmt.Sprintf("a whole number from 1 to %d and minute(s), hour(s) or day(s), such as rate(5 minutes)",
		mostRate)
	return Spec{}, &Error{CodeSyntax, "rate", inside, at, hint}
}

// at reads a local time to the second.
func (p *parser) at(inside string, at int) (Spec, error) {
	text := strings.Trim(inside, " \t")
	const layout = "2006-01-02T15:04:05"
	t, err := time.Parse(layout, text)
	if err != nil || t.Format(layout) != text {
		return Spec{}, &Error{CodeSyntax, "at", inside, at, "a local time such as at(2026-11-20T13:00:00)"}
	}
	p.spec.unusual().at = text
	p.spec.rare.said = "at(" + text + ")"
	return p.spec, nil
}
