package celery

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/tactus-dev/tactus/domain"
)

// ReadRun decodes the data of a run.due event as json.Unmarshal does, in a quarter of the time. Args and kwargs stay
// parts of data.
func ReadRun(data []byte) (run domain.DueRun, err error) {
	if quickly(data, &run) {
		return run, nil
	}
	run = domain.DueRun{}
	err = json.Unmarshal(data, &run)
	return run, err
}

// quickly decodes what the functions of the log write: an object with members of a run, none of them null. It reports
// false for anything else, for which package json knows what to do.
func quickly(data []byte, run *domain.DueRun) bool {
	s := scanner{text: data}
	if !s.take('{') || s.next() != '"' {
		return false
	}
	for {
		name := s.value()
		if name == nil || !s.take(':') || !setMember(run, name, s.value()) {
			return false
		}
		if s.take('}') {
			return s.next() == 0 && s.at == len(data)
		}
		if !s.take(',') || s.next() != '"' {
			return false
		}
	}
}

// setMember reports whether it has set a member, by its quoted name, to a value.
func setMember(run *domain.DueRun, quoted, value []byte) bool {
	if value == nil || value[0] == 'n' {
		return false
	}
	switch string(quoted[1 : len(quoted)-1]) {
	case "schedule_id":
		return setID(&run.ScheduleID, value)
	case "run_id":
		return setID(&run.RunID, value)
	case "due_at":
		return run.DueAt.UnmarshalJSON(value) == nil
	case "kind":
		return setText((*string)(&run.Kind), value)
	case "schedule_name":
		return setText(&run.ScheduleName, value)
	case "task_name":
		return setText(&run.TaskName, value)
	case "args":
		run.Args = value
		return isContainer(value)
	case "kwargs":
		run.Kwargs = value
		return isContainer(value)
	case "queue":
		return setText(&run.Queue, value)
	case "exchange":
		return setText(&run.Exchange, value)
	case "routing_key":
		return setText(&run.RoutingKey, value)
	case "headers":
		return json.Unmarshal(value, &run.Headers) == nil
	case "priority":
		run.Priority = new(int)
		return json.Unmarshal(value, run.Priority) == nil
	case "expires_seconds":
		return setNumber(&run.ExpiresSeconds, value)
	case "time_limit_seconds":
		return setNumber(&run.TimeLimitSeconds, value)
	case "soft_time_limit_seconds":
		return setNumber(&run.SoftTimeLimitSeconds, value)
	case "ignore_result":
		return setFlag(&run.IgnoreResult, value)
	case "ignore_routes":
		return setFlag(&run.IgnoreRoutes, value)
	case "shadow":
		return setText(&run.Shadow, value)
	case "stream":
		return setText(&run.Stream, value)
	}
	return false
}

func isContainer(value []byte) bool { return value[0] == '[' || value[0] == '{' }

func setText(to *string, value []byte) (ok bool) {
	*to, ok = unquote(value)
	return ok
}

func setID(to *domain.ID, value []byte) bool {
	return len(value) > 1 && value[0] == '"' && to.UnmarshalText(value[1:len(value)-1]) == nil
}

// setNumber takes a number as PostgreSQL and package json write it.
func setNumber(to *int64, value []byte) bool {
	n, err := strconv.ParseInt(string(value), 10, 64)
	*to = n
	return err == nil && strconv.FormatInt(n, 10) == string(value)
}

func setFlag(to *bool, value []byte) bool {
	*to = bytes.Equal(value, []byte("true"))
	return *to || bytes.Equal(value, []byte("false"))
}
