// Package api is the HTTP face of tactus: /api/v1, described at /openapi.json.
//
// Every error is a problem+json document (RFC 9457) that carries all faults of the request at once, each with its code, the
// JSON pointer of the member at fault, and the mend. A request that is answered with an error has changed nothing.
package api
