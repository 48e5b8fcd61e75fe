package redis

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"iter"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tactus-dev/tactus/relay"
)

//go:embed lua/*.lua
var sources embed.FS

// script joins files; each goes on where the one before it ended.
func script(names ...string) *goredis.Script {
	var b strings.Builder
	for _, name := range names {
		text, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // it was there when this was compiled
		}
		b.Write(text)
	}
	return goredis.NewScript(b.String())
}

// answer is what a script of a sink says.
type answer struct {
	status      string
	mark        relay.Mark
	unpublished int64
	refused     string // the ID of the entry that failed
	reason      string

	installation, servers string // whose it is
}

func run(ctx context.Context, s *goredis.Script, client goredis.Scripter, keys []string, args ...any) (answer, error) {
	return answerOf(s.Run(ctx, client, keys, args...))
}

// runAll makes calls of a script without waiting for the answers in between: while Redis runs one, the next is on its way.
// Redis runs them in order, and all of them: it is for scripts that find out whether the call before did what it should.
func runAll(ctx context.Context, s *goredis.Script, client goredis.UniversalClient, keys []string, calls [][]any) iter.Seq2[answer, error] {
	pipe := client.Pipeline()
	sent := make([]*goredis.Cmd, len(calls))
	for i, args := range calls {
		sent[i] = s.EvalSha(ctx, pipe, keys, args...)
	}
	_, _ = pipe.Exec(ctx) // each call has its own error, this one too
	return func(yield func(answer, error) bool) {
		for i, cmd := range sent {
			if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
				cmd = s.Run(ctx, client, keys, calls[i]...) // which sends the script
			}
			if !yield(answerOf(cmd)) {
				return
			}
		}
	}
}

func answerOf(cmd *goredis.Cmd) (answer, error) {
	reply, err := cmd.Slice()
	if err != nil {
		return answer{}, err
	}
	return readAnswer(reply)
}

// readAnswer reads the status, then as much of the rest as there is.
func readAnswer(reply []any) (a answer, err error) {
	texts := make([]string, 8)
	for i, part := range reply {
		switch value := part.(type) {
		case string:
			texts[i] = value
		case int64:
			a.unpublished = value
		}
	}
	a.status, a.mark.Epoch, a.refused, a.reason = texts[0], texts[1], texts[4], texts[5]
	a.installation, a.servers = texts[6], texts[7]
	if len(reply) > 2 {
		a.mark.Last, err = relay.ParseID(texts[2])
	}
	return a, err
}

// outcome is what the relay is told of an answer to an append or a begin.
func (a answer) outcome() (relay.Mark, error) {
	switch a.status {
	case "ok":
		return a.mark, nil
	case "mismatch":
		return a.mark, &relay.Mismatch{Real: a.mark}
	case "ailing": // the server or the connection: nothing is set aside for it
		return a.mark, fmt.Errorf("write %s: %s", a.refused, a.reason)
	case "refused": // the entry or its key
		id, err := relay.ParseID(a.refused)
		if err != nil {
			return a.mark, err
		}
		return a.mark, &relay.Refused{Real: a.mark, ID: id, Reason: a.reason}
	default:
		return a.mark, errors.New("the script answered " + a.status)
	}
}
