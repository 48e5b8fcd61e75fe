package redis

// Also is what a sink says of the entries behind a refused one.
var Also = (*TaskSink).also
