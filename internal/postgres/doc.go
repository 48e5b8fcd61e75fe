// Package postgres opens connections on which statements mean the same whatever an administrator has set for a role, a
// database or the server.
//
//   - A session of the server's own gets settings of ours. Those that the URL has are kept: they were meant for tactus.
//   - A pooler in transaction mode gives a session to others after each transaction, so that nothing may be set in it.
//     It is noticed by itself. No statement is prepared then, and only settings are asked for that poolers follow. The
//     rest is looked at: where it would lead statements elsewhere, or end them too early, the connection is refused by
//     the setting's name, with the mend.
//   - default_transaction_read_only is left alone: whoever sets it wants no writes, and who writes is told so.
//
// TestEverySetting (internal/poison) has the product run under each of them, with and without a pooler.
package postgres
