package main

import "github.com/tactus-dev/tactus/internal/celery"

// keyFlags say how the workers name their keys in the broker.
type keyFlags struct {
	KeyPrefix string `name:"celery-key-prefix" env:"TACTUS_CELERY_KEY_PREFIX" help:"The global_keyprefix of the workers' transport options."`
}

// queueFlag names the queue of runs that name no queue.
type queueFlag struct {
	Queue string `name:"celery-default-queue" env:"TACTUS_CELERY_DEFAULT_QUEUE" default:"celery" help:"Queue of runs that name no queue."`
}

// queueFlags say how the workers name their queues.
type queueFlags struct {
	keyFlags
	queueFlag
	Separator  string `name:"celery-priority-separator" env:"TACTUS_CELERY_PRIORITY_SEPARATOR" help:"The sep of the workers' transport options (default \\x06\\x16)."`
	Streams    string `name:"stream-prefix" env:"TACTUS_STREAM_PREFIX" help:"Prefix that the names of task streams must have, on a Redis that others use too (default any name that is not reserved)."`
	Priorities []int  `name:"celery-priority-steps" env:"TACTUS_CELERY_PRIORITY_STEPS" help:"The priority_steps of the workers' transport options (default 0,3,6,9)."`
}

func (f queueFlags) celery() celery.Config {
	return celery.Config{
		DefaultQueue: f.Queue, KeyPrefix: f.KeyPrefix, PrioritySeparator: f.Separator,
		PrioritySteps: f.Priorities, StreamPrefix: f.Streams,
	}
}
