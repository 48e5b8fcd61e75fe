// Package servers starts real PostgreSQL and Redis servers as children of this process, for "tactus dev" and for tests.
//
// Binaries are looked for on PATH and where distributions put them. On Debian and Ubuntu what is missing is downloaded
// and unpacked, without root, into the user's cache; elsewhere the error says what to install. Nothing needs Docker. On
// Debian, [Config].Suite takes a program from another suite, and so another version of it: PostgreSQL 13 of bullseye, 17
// and Redis 8 and Valkey 8 of trixie, PostgreSQL 18 of forky.
//
// A child ends with its parent, also when that is killed with SIGKILL (TestChildEndsWithItsParent). As root, children
// run as an unprivileged user, because PostgreSQL refuses root.
//
// A server belongs to whoever started it. It listens on 127.0.0.1 only, where every user of the machine reaches it, so it
// asks everybody for a password, which is random and in no list of processes. Its folder is the starter's: nobody else can
// read it, and what earlier owners of the name left there (a folder of theirs, a link in place of a log) is refused. As
// root, data are the unprivileged user's, and all around them is root's.
package servers
