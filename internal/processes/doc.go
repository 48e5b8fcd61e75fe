// Package processes tests what several processes of tactus do together: relays and beats that take over from one
// another, releases that follow one another, a database that fails over, an old beat beside ours. The processes are the
// program, on a real PostgreSQL and a real Redis. What one command says is tested in cmd/tactus.
package processes
