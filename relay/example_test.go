package relay_test

import (
	"context"
	"log"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/internal/cloudevents"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
)

// Changes of schedules go to Watermill's own channels here; a publisher for Kafka or NATS goes in their place.
func ExampleForward() {
	ctx := context.Background()
	db, err := pgxpool.New(ctx, "postgres://tactus@localhost/tactus")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	publisher := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
	sink, err := relay.Forward(publisher, db, "channels", "schedules")
	if err != nil {
		log.Fatal(err)
	}
	r, err := relay.New(db, []relay.Route{{
		Name: "channels", Topic: outbox.Schedules, Sink: sink, Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
	}}, relay.Config{})
	if err != nil {
		log.Fatal(err)
	}
	r.Run(ctx)
}
