package relay_test

import "testing"

// TestHandsOverAgainInOrder makes the broker lose the tasks behind its mark, or its mark as well; they are more than
// are read at a time. One relay hands them over again in the order in which they were recorded.
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
