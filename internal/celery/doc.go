// Package celery speaks Celery's language on Redis: the message that asks a worker to run a task, the result that the
// worker leaves, and the events that it sends meanwhile. It only translates; others push, read and subscribe.
//
// What Encode promises:
//
//   - A message is what Celery itself would have sent (protocol 2), field by field, as captured from 5.2.6 and 5.6.3.
//   - Arguments arrive as they were written, byte by byte: "\u0000" and half of a surrogate pair ("\ud83d", a cut emoji) too, which
//     Celery's own beat sends as the same escapes (TestEscapesEqualCelerysBeat). Only the text that Celery shows to people
//     has the character U+FFFD in the place of such a half.
//   - It goes where Celery's would: to the list of its queue, or through an exchange (see [Exchange]).
//   - The id of the task is the id of the run: a run that is handed over twice is twice the same task.
//   - There is no ETA. A message is for now: one with an ETA past the visibility timeout would run twice.
//   - It never makes a message that harms a worker. A worker ends when it cannot read a message, and takes the same
//     message up again when it comes back; what could do that is refused with a [domain.Error] that says why.
//
// Vocabulary, as Celery has it: a queue is a Redis list (several, when there are priorities); an envelope holds headers,
// properties and a body; the body is [args, kwargs, callbacks] in base64.
package celery
