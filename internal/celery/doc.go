// Package celery translates between tactus and Celery on Redis: it encodes the message that asks a worker to run a
// task, and decodes the result that the worker leaves and the events that it sends meanwhile. It does no I/O: other
// packages push, read and subscribe.
//
// What Encode promises:
//
//   - A message is what Celery itself would send (protocol 2), field by field, as captured from 5.2.6 and 5.6.3.
//   - Arguments arrive as they were written, byte by byte. That includes "\u0000" and half a surrogate pair ("\ud83d",
//     a cut emoji), which Celery's own beat sends as the same escapes (TestEscapesEqualCelerysBeat). Only the text that
//     Celery shows to people has U+FFFD in place of such a half.
//   - It goes where Celery's message would go: to the list of its queue, or through an exchange (see [Exchange]).
//   - The task's id is the run's id, so a run that is handed over twice is the same task twice.
//   - A message never has an ETA: a worker would hold it, and past the visibility timeout the broker would deliver it
//     again.
//   - No message harms a worker. A worker that cannot read a message ends, and takes up the same message when it is
//     back. Encode refuses every task that could cause this, with a [domain.Error] that gives the reason.
//
// The vocabulary is Celery's: a queue is a Redis list (several lists, when there are priorities); an envelope holds
// headers, properties and a body; the body is [args, kwargs, callbacks] in base64.
package celery
