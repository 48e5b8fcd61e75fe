// Package pages serves the operations pages: what runs when, what failed, and how to mend it.
//
// The pages speak to the same use cases as the API: [outbox.Store] writes, [catalog.Catalog] reads, and a form is
// decoded by [domain.Decode] like the body of a request. They have no SQL of their own.
//
// Reading and forms work without JavaScript. htmx makes them smooth: a page that says it is live is fetched again when
// the bell of /live rings (Server-Sent Events), and morphed, so that focus, selection and scroll stay. The
// Content-Security-Policy allows no inline script or style, and nothing from elsewhere. Requests for pages of other
// origins are refused by telemetry.Serve.
//
// A page is a file of handlers with its template in templates, and a line in [New]. Every word goes through view.T:
// words.go has the Japanese, and a test finds what lacks it.
package pages
