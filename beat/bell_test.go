package beat

import "testing"

// TestFiresWhileNobodyCanBeNotified makes PostgreSQL refuse every notification, as it does while a listener that does
// not read has filled the queue of notifications. Due times fire without the bell.
func TestFiresWhileNobodyCanBeNotified(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.create(minutely(""))
	b, a := w.beat("a"), at{s}
	w.execute(`create function own.pg_notify(text, text) returns void language plpgsql as
		'begin raise exception ''too many notifications in the NOTIFY queue'' using errcode = ''54000''; end'`)
	w.step(b, a.due(1))
	if err := w.expect(s.ID, a.run(1)); err != nil {
		t.Error(err)
	}
	if n := w.count(`select count(*) from tactus.deadletters`); n > 0 {
		t.Errorf("%d were set aside", n)
	}
}
