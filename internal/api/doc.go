// Package api serves the HTTP API of tactus: /api/v1, described at /openapi.json.
//
// Every error is a problem+json document (RFC 9457) with all faults of the request. Each fault has a code, a JSON
// pointer to the member at fault, and a message that says how to correct it. A request that is answered with an error
// has changed nothing.
package api
