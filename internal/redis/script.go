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

// script joins the named files of lua/ to one script, in which a file sees the locals of the files before it.
func script(names ...string) *goredis.Script {
	var b strings.Builder
	for _, name := range names {
		text, err := sources.ReadFile("lua/" + name + ".lua")
		if err != nil {
			panic(err) // a wrong name in this package's source
		}
		b.Write(text)
	}
	return goredis.NewScript(b.String())
}

// answer is the answer of a sink's script. The scripts of lua/ answer with its fields in this order, and may leave out
// fields at the end.
type answer struct {
	status      string     // ok, mismatch, foreign, refused or failed
	mark        relay.Mark // where the sink stands now
	unpublished int64      // notices that Redis refused
	refused     string     // the ID of the entry that could not be written
	reason      string     // why not

	installation, servers string // the owner that the mark names
}

func run(ctx context.Context, s *goredis.Script, client goredis.Scripter, keys []string, args ...any) (answer, error) {
	return answerOf(s.Run(ctx, client, keys, args...))
}

// runAll sends all calls of a script together, and yields their answers in order. Redis runs every call, also those
// behind one that has failed, so the script must check that the call before it has done its part (see chained).
func runAll(
	ctx context.Context, s *goredis.Script, client goredis.UniversalClient, keys []string, calls [][]any,
) iter.Seq2[answer, error] {
	pipe := client.Pipeline()
	sent := make([]*goredis.Cmd, len(calls))
	for i, args := range calls {
		sent[i] = s.EvalSha(ctx, pipe, keys, args...)
	}
	_, _ = pipe.Exec(ctx) // every cmd holds its own error, including a lost connection
	return func(yield func(answer, error) bool) {
		for i, cmd := range sent {
			if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
				cmd = s.Run(ctx, client, keys, calls[i]...) // sends the script's text
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

// readAnswer decodes the fields that an answer has.
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

// outcome translates an answer to an append or a begin into what relay.Sink promises to return.
func (a answer) outcome() (relay.Mark, error) {
	switch a.status {
	case "ok":
		return a.mark, nil
	case "mismatch":
		return a.mark, &relay.Mismatch{Real: a.mark}
	case "failed": // the server's fault, so a plain error: the relay sets nothing aside for it
		return a.mark, fmt.Errorf("write %s: %s", a.refused, a.reason)
	case "refused": // the fault of the entry or its key
		id, err := relay.ParseID(a.refused)
		if err != nil {
			return a.mark, err
		}
		return a.mark, &relay.Refused{Real: a.mark, ID: id, Reason: a.reason}
	default:
		return a.mark, errors.New("unexpected answer of the script: " + a.status)
	}
}
