// Command summary reads what "go test -json" writes and tells it for people: a line for each package, the output of
// what failed, and at the very end the names of the tests that failed.
package main

import (
	"fmt"
	"os"
)

func main() {
	failed, err := summarise(os.Stdin, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
	}
	if err != nil || failed {
		os.Exit(1)
	}
}
