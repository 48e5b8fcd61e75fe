// Package tactus is a client of the HTTP API.
//
// The types are generated from the description that the API serves (types.gen.go). What is written by hand is how
// requests are made:
//
//   - Client.Do calls any operation. The methods beside it are the operations that services need most.
//   - A request that can be repeated without doing its work twice is repeated: after a lost connection, and after an
//     answer that says to try again. What creates something carries an Idempotency-Key, so it can be repeated, too.
//   - A refusal is an *Error with all faults of the request; errors.Is(err, tactus.Code("name_taken")) finds one.
//   - Lists are iterators, which read a page when the one before it has been used up.
package tactus
