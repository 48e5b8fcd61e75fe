package relay_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"sync"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tactus-dev/tactus/domain"
	"github.com/tactus-dev/tactus/domain/handover"
	"github.com/tactus-dev/tactus/internal/testenv"
	"github.com/tactus-dev/tactus/outbox"
	"github.com/tactus-dev/tactus/relay"
	"github.com/tactus-dev/tactus/relay/cloudevents"
)

// Changes of schedules go to Watermill's own channels here; a publisher for Kafka or NATS goes in their place.
func ExampleForward() {
	url, drop := testenv.ExampleURL() // elsewhere postgres://user@host/database
	defer drop()
	ctx, cancel := context.WithCancel(context.Background())
	db, err := pgxpool.New(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()

	channels := gochannel.NewGoChannel(gochannel.Config{BlockPublishUntilSubscriberAck: true}, watermill.NopLogger{})
	defer channels.Close()
	messages, err := channels.Subscribe(ctx, "schedules")
	if err != nil {
		log.Fatal(err)
	}
	sink, err := relay.Forward(channels, db, "channels", "schedules")
	if err != nil {
		log.Fatal(err)
	}
	r, err := relay.New(db, []relay.Route{{
		Name: "channels", Topic: outbox.Schedules, Sink: sink, Encode: cloudevents.Schedule, Announce: cloudevents.EpochStarted,
	}}, relay.Config{})
	if err != nil {
		log.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()

	nightly := domain.Definition{Name: "nightly", CronExpression: "0 2 * * *", TaskName: "app.report"}
	if _, err := outbox.NewStore(db, "", handover.Limits{}.Check).Create(ctx, nightly, "", nil); err != nil {
		log.Fatal(err)
	}
	m := <-messages
	m.Ack()
	var event struct {
		Type string
		Data struct{ Name string }
	}
	if err := json.Unmarshal(m.Payload, &event); err != nil {
		log.Fatal(err)
	}
	fmt.Println(event.Type, event.Data.Name)
	// Output: schedule.created nightly
}
