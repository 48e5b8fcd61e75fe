// Package pages serves the operations pages: what runs when, what failed, and how to mend it.
//
// The pages use the same packages as the API: [outbox.Store] writes, [catalog.Catalog] reads, and [domain.Decode]
// decodes a form like the body of a request. They have no SQL of their own.
//
// Reading and forms work without JavaScript. htmx makes them smooth: a page that declares itself live is fetched again
// when the bell of /live rings (Server-Sent Events), and the new HTML is morphed into the old, so that focus, selection
// and scroll position stay. The Content-Security-Policy allows neither inline scripts or styles nor anything from other
// origins. telemetry.Serve refuses requests that pages of other origins send.
//
// A page is a file of handlers, its template in templates, and a line in [New]. Every text goes through view.T;
// words_ja.go has the Japanese, and a test finds texts that lack it.
package pages
