// Package transcript reads and writes golden transcripts: what a test does, and what happened then, in a text that a
// person can read who does not program.
package transcript

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// A transcript is a text of blocks, which an empty line separates:
//
//	# what the block shows (a comment, optional)
//	command word name=value name="a value of several words"
//	another command
//	----
//	what happened, one line each
//
// A block without commands is a comment.

// Block is one of them.
type Block struct {
	comment  []string
	Commands []string
	Happened []string
}

// Read reads the blocks of a transcript.
func Read(text string) (blocks []Block) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var b Block
		var after bool
		for line := range strings.SplitSeq(strings.Trim(part, "\n"), "\n") {
			switch {
			case after:
				b.Happened = append(b.Happened, line)
			case line == "----":
				after = true
			case strings.HasPrefix(line, "#"):
				b.comment = append(b.comment, line)
			default:
				b.Commands = append(b.Commands, line)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// Write returns the text of a transcript.
func Write(blocks []Block) string {
	var parts []string
	for _, b := range blocks {
		lines := append(b.comment, b.Commands...)
		if len(b.Commands) > 0 {
			lines = append(append(lines, "----"), b.Happened...)
		}
		parts = append(parts, strings.Join(lines, "\n"))
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// Command is a line of a script: words, and named values.
type Command struct {
	Words  []string
	Values map[string]string
}

// ReadCommand reads a line of a script.
func ReadCommand(line string) (Command, error) {
	c := Command{Values: map[string]string{}}
	var quoted bool
	for _, field := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && unicode.IsSpace(r)
	}) {
		if name, value, ok := strings.Cut(field, "="); ok {
			c.Values[name] = strings.Trim(value, `"`)
		} else {
			c.Words = append(c.Words, strings.Trim(field, `"`))
		}
	}
	if quoted || len(c.Words) == 0 {
		return c, fmt.Errorf("cannot read the command %q", line)
	}
	return c, nil
}

// Word returns a word by its number, or nothing.
func (c Command) Word(n int) string {
	if n < len(c.Words) {
		return c.Words[n]
	}
	return ""
}

// Members returns the named values as the members of a schedule's definition: numbers, null and true are what JSON
// has them for.
func (c Command) Members() map[string]any {
	members := map[string]any{}
	for name, value := range c.Values {
		var plain any
		if _, err := strconv.Atoi(value); err == nil || value == "null" || value == "true" || value == "false" {
			_ = json.Unmarshal([]byte(value), &plain)
		} else {
			plain = value
		}
		members[name] = plain
	}
	return members
}
