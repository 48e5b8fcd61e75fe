package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
)

// event is a line of "go test -json" ("go doc test2json", and "go help buildjson" for builds).
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	Elapsed     float64
	FailedBuild string
}

// report is what has been read so far.
type report struct {
	to      io.Writer
	output  map[name][]string // of tests that have not passed, and of packages
	running map[name]bool     // tests that have begun and not ended
	failed  []name
	tests   int
	slowest []timed
}

// name is that of a test, or of a package when it has no test.
type name struct{ pkg, test string }

type timed struct {
	name
	seconds float64
}

// summarise reports whether anything failed. A line that is no event is passed on: the go command writes such lines for
// what it cannot even begin.
func summarise(from io.Reader, to io.Writer) (failed bool, err error) {
	r := &report{to: to, output: map[name][]string{}, running: map[name]bool{}}
	for lines := bufio.NewReader(from); ; {
		line, err := lines.ReadString('\n')
		if line != "" {
			r.line(line)
		}
		if err == io.EOF {
			return r.end(), nil
		}
		if err != nil {
			return true, err
		}
	}
}

func (r *report) line(line string) {
	var e event
	if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
		fmt.Fprint(r.to, line)
		return
	}
	n := name{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.to, e.Output)
	case e.Action == "output":
		r.hear(n, e.Output)
	case e.Action == "run":
		r.running[n] = true
	case e.Test != "" && ended(e.Action):
		r.endTest(n, e)
	case e.Test == "" && ended(e.Action):
		r.endPackage(n, e)
	}
}

func ended(action string) bool { return action == "pass" || action == "fail" || action == "skip" }

// fetching begins the line by which tests tell that they download a server, which may take minutes.
const fetching = "testenv: fetching "

func (r *report) hear(n name, text string) {
	if strings.HasPrefix(text, fetching) {
		fmt.Fprint(r.to, text)
	}
	if !isFrame(text) {
		r.output[n] = append(r.output[n], text)
	}
}

// isFrame reports whether a line is one of those with which the testing package marks that a test begins or goes on.
func isFrame(text string) bool {
	for _, prefix := range []string{"=== RUN ", "=== PAUSE ", "=== CONT ", "=== NAME "} {
		if strings.HasPrefix(text, prefix) {
			return true
		}
	}
	return false
}

func (r *report) endTest(n name, e event) {
	delete(r.running, n)
	if !strings.Contains(n.test, "/") && e.Action != "skip" {
		r.tests++
	}
	if e.Action == "fail" {
		r.fail(n)
	}
	delete(r.output, n)
}

func (r *report) fail(n name) {
	r.failed = append(r.failed, n)
	for _, text := range r.output[n] {
		fmt.Fprint(r.to, text)
	}
}

// endPackage tells of a package. When it failed, its tests that never ended, after a panic or a time-out, have failed.
func (r *report) endPackage(n name, e event) {
	if e.Action == "skip" { // it has no tests
		return
	}
	if e.Action == "pass" {
		fmt.Fprintf(r.to, "ok    %6.1fs  %s\n", e.Elapsed, n.pkg)
	} else {
		r.endFailedPackage(n, e)
	}
	r.slowest = append(r.slowest, timed{n, e.Elapsed})
	delete(r.output, n)
}

func (r *report) endFailedPackage(n name, e event) {
	before := len(r.failed)
	for _, test := range r.unended(n.pkg) {
		r.fail(test)
		delete(r.running, test)
	}
	for _, text := range r.output[n] {
		fmt.Fprint(r.to, text)
	}
	if len(r.failed) == before && !slices.ContainsFunc(r.failed, func(f name) bool { return f.pkg == n.pkg }) {
		r.failed = append(r.failed, n)
	}
	fmt.Fprintf(r.to, "FAIL  %6.1fs  %s\n", e.Elapsed, n.pkg)
}

func (r *report) unended(pkg string) (tests []name) {
	for n := range r.running {
		if n.pkg == pkg {
			tests = append(tests, n)
		}
	}
	slices.SortFunc(tests, func(a, b name) int { return cmp.Compare(a.test, b.test) })
	return tests
}

const told = 3

// end tells the sum: how many tests there were, which packages took longest, and last what failed.
func (r *report) end() (failed bool) {
	slices.SortFunc(r.slowest, func(a, b timed) int { return cmp.Compare(b.seconds, a.seconds) })
	fmt.Fprintf(r.to, "%d tests in %d packages", r.tests, len(r.slowest))
	for i, s := range r.slowest[:min(told, len(r.slowest))] {
		fmt.Fprintf(r.to, "%s %s %.0fs", []string{"; slowest", ",", ","}[i], s.pkg, s.seconds)
	}
	fmt.Fprintln(r.to)
	if len(r.failed) == 0 {
		return false
	}
	fmt.Fprintln(r.to, "\nFailed:")
	for _, n := range r.failed {
		fmt.Fprintln(r.to, " ", strings.TrimSpace(n.pkg+" "+n.test))
	}
	return true
}
