package natsbus

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// connectTimeout bounds the attempt to reach one server.
const connectTimeout = 2 * time.Second

// connect joins the bus at address: one URL, or several with commas between. A connection
// that breaks is made again for as long as it takes. Nothing is kept for sending in the
// meantime: a command or a state from before an outage must not arrive after it.
func connect(ctx context.Context, address, client string, log *slog.Logger) (*nats.Conn, error) {
	timeout := connectTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline))
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(address), err)
	}
	conn, err := nats.Connect(address,
		nats.Name(client),
		nats.Timeout(timeout),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(200*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: Close
				log.Warn("connection to NATS is lost", "url", redact(address), "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("connected to NATS again", "url", redact(address)) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("NATS", "url", redact(address), "error", err)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect to NATS at %s: %w", redact(address), err)
	}
	return conn, nil
}

// redact hides the passwords in one or several URLs.
func redact(address string) string {
	parts := strings.Split(address, ",")
	for i, part := range parts {
		parts[i] = "(unreadable URL)"
		if u, err := url.Parse(strings.TrimSpace(part)); err == nil {
			if u.User != nil {
				if _, password := u.User.Password(); !password { // a lone name is a token
					u.User = url.UserPassword("xxxxx", "")
				}
			}
			parts[i] = u.Redacted()
		}
	}
	return strings.Join(parts, ",")
}

// subscribe delivers the messages on subject to inbox, in order with all others there.
func subscribe(conn *nats.Conn, inbox chan *nats.Msg, subject string) (*nats.Subscription, error) {
	subscription, err := conn.ChanSubscribe(subject, inbox)
	if err != nil {
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	return subscription, nil
}

// isNoResponders reports a message that the NATS server itself sends in place of an
// answer, because nobody subscribes to the subject of the request.
func isNoResponders(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") == "503"
}
