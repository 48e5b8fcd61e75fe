module github.com/tactus-dev/tactus/internal/bench/peers

go 1.26.0

require (
	github.com/robfig/cron/v3 v3.0.1
	github.com/tactus-dev/tactus v0.0.0
)

replace github.com/tactus-dev/tactus => ../../..
