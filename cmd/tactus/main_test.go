package main

import (
	"bytes"
	"testing"

	"github.com/tactus-dev/tactus/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// said is what a command answered.
type said struct {
	code          int
	out, problems string
}

// tactus runs a command in this process.
func tactus(t *testing.T, args ...string) said {
	t.Helper()
	var out, problems bytes.Buffer
	code := run(args, &out, &problems)
	return said{code, out.String(), problems.String()}
}
