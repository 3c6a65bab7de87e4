package mavlink

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bluenviron/gomavlib/v3"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/robot"
)

// ServeOptions are the vehicle's settings. The zero value works.
type ServeOptions struct {
	System byte // MAVLink system id; 1 unless set
	Key    *Key // signs what is sent and refuses what is not signed with it

	// HeartbeatTimeout is how long the operator may be silent before the vehicle
	// disarms; 3 s unless set.
	HeartbeatTimeout time.Duration

	// CommandTimeout is how long after its last command an armed vehicle waits for the
	// next before it disarms, and the longest that the robot may take for an Act or an
	// Observe; unless set 1 s, or five control steps where these are longer.
	CommandTimeout time.Duration

	// Listening, if set, is called once with the address at which operators can be heard.
	Listening func(address string)

	Logger *slog.Logger // slog.Default() unless set
}

func (o ServeOptions) withDefaults(spec robot.Spec) ServeOptions {
	if o.System == 0 {
		o.System = 1
	}
	if o.HeartbeatTimeout == 0 {
		o.HeartbeatTimeout = 3 * time.Second
	}
	if o.CommandTimeout == 0 {
		o.CommandTimeout = max(time.Second, steps(5, spec.Rate))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// steps is the time that n control steps take at rate.
func steps(n, rate float64) time.Duration {
	return time.Duration(n / rate * float64(time.Second))
}

// watchPeriod is how often the vehicle looks whether its operator is still there.
const watchPeriod = 50 * time.Millisecond

// Serve puts r behind MAVLink as a vehicle at address (udpin:HOST:PORT, tcpin:HOST:PORT,
// udp:HOST:PORT, tcp:HOST:PORT or serial:DEVICE:BAUD) until ctx is done. It then stops
// the robot and returns nil, or the error that kept the robot from stopping.
//
// Nobody else may use r meanwhile. Cameras are not served: MAVLink carries no pictures.
func Serve(ctx context.Context, r robot.Robot, address string, o ServeOptions) error {
	spec := r.Spec()
	if err := checkSpec(spec); err != nil {
		return fmt.Errorf("serve %s over MAVLink: %w", spec.Name, err)
	}
	at, err := parseAddress(address)
	if err != nil {
		return err
	}
	o = o.withDefaults(spec)
	link, err := openLink(at, target{o.System, component}, o.Key)
	if err != nil {
		return fmt.Errorf("serve %s over MAVLink: %w", spec.Name, err)
	}
	defer link.close()
	if o.Listening != nil {
		if link.local != nil {
			at.target = link.local.String()
		}
		o.Listening(at.String())
	}
	s := &server{link: link, audience: make(map[*gomavlib.Channel]bool)}
	s.vehicle = newVehicle(r, o, time.Now(), s.send)
	// A datagram's sender may not be who it says it is: it must say something sensible
	// before anything is sent to it.
	s.shy = at.scheme == "udpin"
	return s.run(ctx)
}

// server moves messages between a vehicle and its channels.
type server struct {
	link     *link
	vehicle  *vehicle
	audience map[*gomavlib.Channel]bool // the channels that are sent to
	shy      bool                       // a channel joins the audience with its first message
}

func (s *server) run(ctx context.Context) error {
	v := s.vehicle
	beat := time.NewTicker(heartbeatPeriod)
	defer beat.Stop()
	watch := time.NewTicker(watchPeriod)
	defer watch.Stop()
	period := steps(1, v.spec.Rate)
	step := time.NewTicker(period)
	defer step.Stop()
	halved := false // the next step comes after half a period
	for {
		select {
		case <-ctx.Done():
			if err := v.disarm(ctx, time.Now(), "end of service"); err != nil {
				return fmt.Errorf("serve %s over MAVLink: %w", v.spec.Name, err)
			}
			return nil
		case event := <-s.link.node.Events():
			s.event(ctx, event)
			// With the command that sets the vehicle going its clock starts anew, half a
			// step off: an operator that keeps the rate then sends commands and hears
			// states halfway between two steps, and chance does not decide in which step
			// a command is applied.
			if v.going {
				v.going, halved = false, true
				step.Reset(period / 2)
			}
		case <-beat.C:
			v.beat(time.Now())
		case <-watch.C:
			v.watch(ctx, time.Now())
		case <-step.C:
			if halved {
				step.Reset(period)
				halved = false
			}
			v.tick(ctx, time.Now())
		}
	}
}

func (s *server) event(ctx context.Context, event gomavlib.Event) {
	switch e := event.(type) {
	case *gomavlib.EventChannelOpen:
		if !s.shy {
			s.join(e.Channel)
		}
	case *gomavlib.EventChannelClose:
		delete(s.audience, e.Channel)
		s.vehicle.closed(ctx, time.Now(), e.Channel)
	case *gomavlib.EventFrame:
		if !s.link.accept(e) {
			return
		}
		if _, unknown := e.Message().(*message.MessageRaw); unknown {
			return // its checksum cannot be checked
		}
		if !s.audience[e.Channel] {
			s.join(e.Channel)
		}
		s.vehicle.handle(ctx, time.Now(), peer{e.Channel, e.SystemID(), e.ComponentID()}, e.Message())
	case *gomavlib.EventParseError:
		s.vehicle.log.Debug("unreadable frame", "channel", e.Channel.String(), "error", e.Error)
	}
}

func (s *server) join(channel *gomavlib.Channel) {
	s.audience[channel] = true
	s.vehicle.introduce(channel, time.Now())
}

// send queues a message; what the link cannot take in time is lost, as on a radio.
func (s *server) send(to *gomavlib.Channel, m message.Message) {
	if to != nil {
		s.write(to, m)
		return
	}
	for channel := range s.audience {
		s.write(channel, m)
	}
}

func (s *server) write(to *gomavlib.Channel, m message.Message) {
	if err := s.link.node.WriteMessageTo(to, m); err != nil {
		s.vehicle.log.Error("write message", "channel", to.String(), "error", err)
	}
}
