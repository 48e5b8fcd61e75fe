package beat

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

// block is one of them.
type block struct {
	comment  []string
	commands []string
	happened []string
}

func readBlocks(text string) (blocks []block) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		var b block
		var after bool
		for line := range strings.SplitSeq(strings.Trim(part, "\n"), "\n") {
			switch {
			case after:
				b.happened = append(b.happened, line)
			case line == "----":
				after = true
			case strings.HasPrefix(line, "#"):
				b.comment = append(b.comment, line)
			default:
				b.commands = append(b.commands, line)
			}
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func writeBlocks(blocks []block) string {
	var parts []string
	for _, b := range blocks {
		lines := append(b.comment, b.commands...)
		if len(b.commands) > 0 {
			lines = append(append(lines, "----"), b.happened...)
		}
		parts = append(parts, strings.Join(lines, "\n"))
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// command is a line of a script: words, and named values.
type command struct {
	words  []string
	values map[string]string
}

func readCommand(line string) (command, error) {
	c := command{values: map[string]string{}}
	var quoted bool
	for _, field := range strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && unicode.IsSpace(r)
	}) {
		if name, value, ok := strings.Cut(field, "="); ok {
			c.values[name] = strings.Trim(value, `"`)
		} else {
			c.words = append(c.words, strings.Trim(field, `"`))
		}
	}
	if quoted || len(c.words) == 0 {
		return c, fmt.Errorf("cannot read the command %q", line)
	}
	return c, nil
}

// word returns a word by its number, or nothing.
func (c command) word(n int) string {
	if n < len(c.words) {
		return c.words[n]
	}
	return ""
}

// members returns the named values as the members of a schedule's definition: numbers, null and true are what JSON
// has them for.
func (c command) members() map[string]any {
	members := map[string]any{}
	for name, value := range c.values {
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
