// Package servers starts real PostgreSQL and Redis servers as children of this process, for "tactus dev" and for tests.
//
// It looks for programs on PATH and where distributions install them. On Debian and Ubuntu it downloads missing ones
// and unpacks them into the user's cache, without root; on other systems the error says what to install. Docker is not
// needed. On Debian, [Config].Suite takes a program from another suite, and so in another version: PostgreSQL 13 from
// bullseye, 17, Redis 8 and Valkey 8 from trixie, PostgreSQL 18 from forky.
//
// A child ends with its parent, even when the parent is killed with SIGKILL (TestChildEndsWithItsParent). As root,
// children run as an unprivileged user, because PostgreSQL refuses to run as root.
//
// A server belongs to the user who started it. It listens on 127.0.0.1 only, but every user of the machine can connect
// there, so it asks for a password, which is random and appears in no process list. Its folder is readable by that user
// alone. Anything that others may have put there before (a folder of theirs, a link in place of a log) is refused. As
// root, the data belong to the unprivileged user, and everything around them to root.
package servers
