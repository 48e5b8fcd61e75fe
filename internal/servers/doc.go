// Package servers starts real PostgreSQL and Redis servers as children of this process, for "tactus dev" and for tests.
//
// Binaries are looked for on PATH and where distributions put them. On Debian and Ubuntu what is missing is downloaded
// and unpacked, without root, into the user's cache; elsewhere the error says what to install. Nothing needs Docker.
//
// A child ends with its parent, also when that is killed with SIGKILL (TestChildEndsWithItsParent). As root, children
// run as an unprivileged user, because PostgreSQL refuses root. Servers listen on 127.0.0.1 only.
package servers
