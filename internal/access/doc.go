// Package access says who calls, and what they may do.
//
// A [Guard] stands in front of every handler of a process. It finds out who sent a request, by the ways that are
// configured (API keys, sessions of browsers, a proxy in front, client certificates, OpenID Connect), and puts a
// [Principal] into the request's context, where [From] finds it. The guard itself refuses only credentials that are
// wrong: a request without any goes on as nobody, and the handler's declared role ([Demand]) refuses it.
//
// Vocabulary:
//
//   - role: read < write < admin. Each includes those below it.
//   - scope: the schedules that a principal may see and change, by tag or by the beginning of their names; all unless
//     it says so. A schedule's runs and events belong to it, and so to the scopes that it is in today.
//   - key: a random text, shown once. The database has its SHA-256: a text of 256 random bits needs no slow hash.
//   - session: what a browser has after a login. The database has the SHA-256 of its cookie, and its end.
//
// What a guard has read of a key or session it believes for a second ([fresh]); a revocation is effective in all
// processes by then.
package access
