package natsbus

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// discoverWait is how long robots have to answer.
const discoverWait = 300 * time.Millisecond

// discover returns the names of the robots on the bus, sorted. It takes discoverWait
// unless there is none.
func discover(ctx context.Context, conn *nats.Conn) ([]string, error) {
	answers, err := conn.SubscribeSync(conn.NewInbox())
	if err != nil {
		return nil, err
	}
	defer func() { _ = answers.Unsubscribe() }() // fails only when the connection is closed
	if err := conn.PublishRequest(discoverSubject, answers.Subject, nil); err != nil {
		return nil, err
	}
	wait, cancel := context.WithTimeout(ctx, discoverWait)
	defer cancel()
	var names []string
	for {
		m, err := answers.NextMsgWithContext(wait)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case wait.Err() != nil:
			slices.Sort(names)
			return names, nil
		case err != nil && err != nats.ErrNoResponders:
			return nil, err
		case err != nil || isNoResponders(m):
			return nil, nil
		}
		if spec, err := decodeSpec(m.Data); err == nil { // others may use the subject too
			names = append(names, spec.Name)
		}
	}
}
