package main

import "strconv"

// counted returns a number followed by the singular or the plural words.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}
