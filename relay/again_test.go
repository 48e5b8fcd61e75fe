package relay_test

import "testing"

// TestHandsOverAgainInOrder has the broker lose what comes behind its mark, or its mark, too: more than is read at a
// time. One relay hands it over again in the order in which it was recorded.
func TestHandsOverAgainInOrder(t *testing.T) {
	t.Parallel()
	for name, mark := range map[string]string{"the tail": "1-0", "all": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stop := w.carry(t, w.tasks(t))
			all := w.fire(t, "q", 1100)
			w.awaitTasks(t, "q", all)
			stop()
			err := w.redis.Del(t.Context(), "q").Err()
			if err == nil && mark != "" {
				err = w.redis.HSet(t.Context(), "tactus:sink:"+taskSink, "last", mark).Err()
			} else if err == nil {
				err = w.redis.FlushDB(t.Context()).Err()
			}
			if err != nil {
				t.Fatal(err)
			}
			w.carry(t, w.tasks(t))
			w.awaitTasks(t, "q", all)
		})
	}
}
