package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/tactus-dev/tactus/internal/access"
	"github.com/tactus-dev/tactus/internal/logging"
	"github.com/tactus-dev/tactus/internal/redis"
)

// logFlags say how a process logs.
type logFlags struct {
	LogFormat string `name:"log-format" env:"TACTUS_LOG_FORMAT" enum:"text,json" default:"text" help:"How api, relay, beat and dev log: text or json."`
	LogLevel  string `name:"log-level" env:"TACTUS_LOG_LEVEL" enum:"debug,info,warn,error" default:"info" help:"From which level on they log: debug (what each step did), info (what changed), warn or error. tactus log-level changes it while they run."`
}

// log returns the log of a process. Libraries log there, too, if its output is the process's own.
func (f logFlags) log(to console) (*logging.Log, error) {
	logs, err := logging.New(to.problems, f.LogFormat, f.LogLevel)
	if err != nil {
		return nil, usage("TACTUS_LOG_FORMAT, TACTUS_LOG_LEVEL: %v", err)
	}
	if to.own {
		driversLogTo(logs.Logger)
	}
	return logs, nil
}

// driversLogTo makes libraries log to the log of the process: go-redis, and users of the standard library's log, such
// as its HTTP server.
func driversLogTo(to *slog.Logger) {
	redis.LogTo(to)
	log.SetFlags(0)
	slog.SetLogLoggerLevel(slog.LevelWarn)
	slog.SetDefault(to)
}

// logLevelPath is the path at which a process shows the level of its log, and lets it be changed.
const logLevelPath = "/log-level"

// mountLogLevel lets administrators change the level of a process's log, and readers see it.
func mountLogLevel(mux *http.ServeMux, log *logging.Log) {
	show := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		answer := map[string]string{"level": log.Level()}
		if until := log.Until(); !until.IsZero() {
			answer["until"] = until.UTC().Format(time.RFC3339)
		}
		_ = json.NewEncoder(w).Encode(answer) // fails only when the client is gone
	}
	handle := func(method string, role access.Role, handler http.HandlerFunc) {
		mux.Handle(method+" "+logLevelPath, access.Require(role, handler))
	}
	handle(http.MethodGet, access.Read, func(w http.ResponseWriter, _ *http.Request) { show(w) })
	handle(http.MethodPut, access.Admin, func(w http.ResponseWriter, r *http.Request) {
		asked := r.URL.Query()
		if err := log.Set(asked.Get("level"), asked.Get("for")); err != nil {
			access.Answer(w, err)
			return
		}
		show(w)
	})
}

// logLevelCmd changes the level of a running process's log.
type logLevelCmd struct {
	credentialFlags
	Level string        `arg:"" optional:"" help:"debug, info, warn or error; without it the level is printed."`
	For   time.Duration `placeholder:"TIME" help:"How long, such as 10m; then the process logs as it was started to. Otherwise until it is changed again, or the process ends."`
	URL   secret        `name:"url" env:"TACTUS_URL" default:"http://127.0.0.1:8000" help:"URL of the api, the relay or the beat; or TACTUS_URL_FILE, a file with it."`
}

// Run changes the level, and prints it.
func (c logLevelCmd) Run(ctx context.Context, to console) error {
	ctx, cancel := context.WithTimeout(ctx, clientTimeout)
	defer cancel()
	method, asked := http.MethodGet, url.Values{}
	if c.Level != "" {
		method = http.MethodPut
		asked.Set("level", c.Level)
	}
	if c.For != 0 {
		if c.Level == "" {
			return usage("--for %s: say which level, such as debug", c.For)
		}
		asked.Set("for", c.For.String())
	}
	response, err := c.URL.ask(ctx, c.credentialFlags, method, logLevelPath+"?"+asked.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Level, Until, Code string
		Errors             []struct{ Message string }
	}
	err = json.NewDecoder(io.LimitReader(response.Body, maxHealth)).Decode(&answer)
	if err != nil || answer.Level+answer.Code == "" {
		return fmt.Errorf("%s answers %s, which no api, relay or beat does", c.URL, response.Status)
	}
	if response.StatusCode != http.StatusOK {
		var refused []error
		for _, fault := range answer.Errors {
			refused = append(refused, errors.New(fault.Message))
		}
		return errors.Join(refused...)
	}
	until := ""
	if answer.Until != "" {
		until = " until " + answer.Until
	}
	say(to.out, "%s%s\n", answer.Level, until)
	return nil
}
