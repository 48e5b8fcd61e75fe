package sqlexpr

// Postgres decodes every string of a json document to read any member of it, and raises when one holds U+0000 or half
// of a surrogate pair. Both are valid JSON, and tasks come from users: one such schedule would stop every statement
// that reads it among others. Statements therefore read the task of the schedule s (tactus.schedules) by these
// expressions only.
const (
	TaskName   = ReadableTask + `->>'task_name'`
	TaskStream = ReadableTask + `->>'stream'` // null when it goes to a queue

	// TaskQueue is null when the task goes to the default queue, or to a stream.
	TaskQueue = `coalesce(` + ReadableTask + `->>'queue', case when ` + ReadableTask + `->'exchange' is null or ` +
		ReadableTask + `->'routing_key' is null then ` + fromRoute + `queue end end)`

	// TaskIgnoresResult reports whether nobody is told what came of the task.
	TaskIgnoresResult = `coalesce(` + ReadableTask + `->>'ignore_result' = 'true', ` + fromRoute + `ignore_result end, false)`

	// TaskTimeLimit is in seconds; 0 when there is none.
	TaskTimeLimit = `coalesce(substring(` + ReadableTask + `->>'time_limit_seconds' from '^[0-9]{1,10}$')::bigint, ` +
		fromRoute + `time_limit_seconds end, 0)`

	RouteExpires = fromRoute + `expires_seconds end` // of runs whose schedule says nothing of it; null when the route does not either

	// RoutedTask is what a run carries to its sink: the task, with the options of its route that it does not have
	// itself.
	RoutedTask = `case when ` + anyRoutes + ` then tactus.routed(s.task, ` + ReadableTask + `) else s.task end`
)

// ReadableTags are the tags of the schedule s as a list of texts, whatever array somebody wrote by hand: a program that
// reads others beside it would stop at a null, or at more dimensions.
const ReadableTags = `array(select tag from unnest(s.tags) as tag where tag is not null)`

// TaskSize is how many bytes the task of the schedule s has. What is large as it is stored is not unpacked to count
// them: it is taken for as large as a task may be.
const TaskSize = `case when pg_column_size(s.task) > 65536 then greatest(pg_column_size(s.task), 262144)
    else octet_length(s.task::text) end`

// EventSize is TaskSize for the data of the event o (tactus.outbox).
const EventSize = `case when pg_column_size(o.data) > 65536 then greatest(pg_column_size(o.data), 262144)
    else octet_length(o.data::text) end`

// What has no routes pays for one look at the table in a statement. What a task says itself goes before its route, and
// one for a stream, or that ignores routes, has none (see domain.Route).
const (
	anyRoutes    = `(select exists (select ` + livingRoutes + `))`
	livingRoutes = `from tactus.routes where deleted_at is null`

	fromRoute = `case when ` + anyRoutes + ` and ` + ReadableTask + `->'stream' is null and ` + ReadableTask + `->'ignore_routes' is null
        then (tactus.route_of(` + TaskName + `)).`
)

// TaskArgs and TaskKwargs are texts of JSON, as the user wrote them; null where that cannot be read.
const (
	TaskArgs   = `case when ` + taskIsReadable + ` then ` + ReadableTask + `->'args' end`
	TaskKwargs = `case when ` + taskIsReadable + ` then ` + ReadableTask + `->'kwargs' end`

	taskIsReadable = `length(` + ReadableTask + `::text) = length(s.task::text)`
)

// ReadableTask is the task of the schedule s without the escapes that Postgres does not decode: of U+0000, and of
// surrogates without their other half. The members that are read by name have none: the program writes every character
// of them as it is. A pair of surrogates, and one of backslashes, is matched first and put back: "\\u0000" is a
// backslash and text. In the pattern ~ stands for a backslash, which standard_conforming_strings gives two meanings.
const ReadableTask = `(case when strpos(s.task::text, chr(92) || 'u') = 0 then s.task
    else regexp_replace(s.task::text, ` + notDecoded + `)::json end)`

const notDecoded = `replace(
    '(~~|~u[dD][89abAB][0-9a-fA-F]{2}~u[dD][c-fC-F][0-9a-fA-F]{2})|~u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})',
    '~', repeat(chr(92), 2)), chr(92) || '1', 'g'`

// Description is that of the schedule s, read as its task is; null where there is none, and of a definition so large
// that it would have to be unpacked among many others.
const Description = `case when pg_column_size(s.definition) <= 65536 then
    (case when strpos(s.definition::text, chr(92) || 'u') = 0 then s.definition
        else regexp_replace(s.definition::text, ` + notDecoded + `)::json end)->>'description' end`

// The policy of the schedule s (tactus.schedules) is a text of our own, in canonical form, without a word of a user.
// Reading it by its bytes raises for no row, whatever somebody has made of one by hand. Seconds have at most ten
// digits, which is 300 years: an interval of more raises where it is added to a time.
const (
	PolicyExpires = `coalesce(substring(s.policy from '"expires": *([0-9]{1,10})([^0-9]|$)')::bigint, ` + RouteExpires + `)`
	PolicyMaxRuns = `substring(s.policy from '"max_runs": *([0-9]{1,18})')::bigint`
	PolicyDelay   = `coalesce(substring(s.policy from '"jitter": *([0-9]{1,10})([^0-9]|$)')::bigint, 0)
    + coalesce(substring(s.policy from '"spread": *([0-9]{1,10})([^0-9]|$)')::bigint, 0)` // by how much a due time fires later at most
	PolicyOverlaps = `strpos(s.policy, '"overlap":') > 0` // it says what becomes of runs that would overlap
)
