package telemetry

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"strconv"
)

// longestProfile is how long a profile may take, in seconds.
const longestProfile = 120

// Profiles returns a handler for Go's profiles, without the command line: it may have secrets. One profile is made at a
// time, because each takes the process's time from everybody else; while it is made, others are answered 429.
func Profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	free := make(chan struct{}, 1)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := r.URL.Query().Get("seconds"); text != "" {
			if seconds, err := strconv.ParseFloat(text, 64); err != nil || !(seconds >= 0 && seconds <= longestProfile) {
				http.Error(w, fmt.Sprintf("seconds: want a number from 0 to %d", longestProfile), http.StatusBadRequest)
				return
			}
		}
		select {
		case free <- struct{}{}:
			defer func() { <-free }()
			mux.ServeHTTP(w, r)
		default:
			http.Error(w, "a profile is being made: ask again when it is", http.StatusTooManyRequests)
		}
	})
}
