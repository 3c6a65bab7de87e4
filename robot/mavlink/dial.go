package mavlink

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"

	"govla/robot"
)

// Options are the operator's settings. The zero value works.
type Options struct {
	Encoding Encoding // how actions are sent; ControlTarget unless set
	Lockstep bool     // a simulator that stands still between two calls of Act
	System   byte     // the vehicle's MAVLink system id; 1 unless set
	Key      *Key     // signs what is sent and refuses what is not signed with it

	// Timeout bounds each wait for the vehicle: for its first heartbeat, for the answer
	// to arming, disarming and resetting, and for a step in lockstep; 5 s unless set.
	Timeout time.Duration

	// Stale is the age at which an observation is too old to act on, in real time; unless
	// set 0.5 s, or five control steps where these are longer.
	Stale time.Duration

	Logger *slog.Logger // slog.Default() unless set
}

func (o Options) withDefaults(spec robot.Spec) Options {
	if o.System == 0 {
		o.System = 1
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Stale == 0 {
		o.Stale = max(500*time.Millisecond, steps(5, spec.Rate))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// The operator's own system and component, those of a ground station.
const (
	operatorSystem    = byte(255)
	operatorComponent = byte(common.MAV_COMP_ID_MISSIONPLANNER)
)

// Dial connects to the vehicle at address (udp:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT,
// tcpin:HOST:PORT or serial:DEVICE:BAUD) and waits until it can be observed.
//
// spec is what the vehicle is, for MAVLink cannot say: names, units, limits and rate. A
// vehicle that Serve makes sends its widths, limits and rate, and Dial refuses one that
// differs. PX4 and ArduPilot do not, so with these a wrong spec goes unnoticed, and Dial
// returns at their heartbeat. Cameras are left out of the driver's Spec: MAVLink carries
// no pictures.
//
// With Options.Lockstep the vehicle must be a simulator, and Dial resets it with seed 0.
//
// An error because nothing was heard wraps robot.ErrStale and names the address.
func Dial(ctx context.Context, address string, spec robot.Spec, o Options) (*Driver, error) {
	o = o.withDefaults(spec)
	if err := checkDial(spec, o); err != nil {
		return nil, fmt.Errorf("dial %s: %w", address, err)
	}
	at, err := parseAddress(address)
	if err != nil {
		return nil, err
	}
	link, err := openLink(at, target{operatorSystem, operatorComponent}, o.Key)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	spec.State, spec.Action, spec.Cameras = slices.Clone(spec.State), slices.Clone(spec.Action), nil
	d := &Driver{
		spec:     spec,
		o:        o,
		address:  at,
		link:     link,
		start:    time.Now(),
		listened: make(chan struct{}),
		changed:  make(chan struct{}),
		episode:  rand.Uint32N(half - 1), // not the one of an operator before us
	}
	go d.listen()
	if err := d.meet(ctx); err != nil {
		_ = d.Close()
		if why := link.why(); why != nil {
			return nil, fmt.Errorf("dial %v: %w (last trouble: %w)", at, err, why)
		}
		return nil, fmt.Errorf("dial %v: %w", at, err)
	}
	return d, nil
}

func checkDial(spec robot.Spec, o Options) error {
	if err := checkSpec(spec); err != nil {
		return err
	}
	if err := o.Encoding.check(len(spec.Action)); err != nil {
		return err
	}
	if o.Lockstep && o.Encoding != ControlTarget {
		return fmt.Errorf("encoding %v cannot run in lockstep: its messages do not tell a repeated command from a new one; use %v", o.Encoding, ControlTarget)
	}
	return nil
}

// meet waits for the vehicle, checks what it is, and makes it observable.
func (d *Driver) meet(ctx context.Context) error {
	err := d.exchange(ctx, fmt.Sprintf("wait for a heartbeat of system %d", d.o.System), nil, func() (bool, error) {
		return d.vehicle.channel != nil, nil
	})
	if err != nil {
		return err
	}
	if d.foreign() && !d.o.Lockstep {
		return nil
	}
	if !d.foreign() {
		err := d.exchange(ctx, "wait for the vehicle's spec", nil, func() (bool, error) {
			if d.described.values == nil {
				return false, nil
			}
			return true, sameRobot(d.described.values, d.spec)
		})
		if err != nil {
			return err
		}
	}
	if d.o.Lockstep {
		_, err := d.Reset(ctx, 0)
		return err
	}
	err = d.exchange(ctx, "wait for the vehicle to leave another operator's lockstep", nil, func() (bool, error) {
		return d.heartbeat.CustomMode == modeRealTime, nil
	})
	if err != nil {
		return err
	}
	return d.exchange(ctx, "wait for the vehicle's state", nil, func() (bool, error) {
		return d.state.values != nil, nil
	})
}

// foreign says whether the vehicle is an autopilot that Serve did not make.
func (d *Driver) foreign() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.heartbeat.Autopilot == common.MAV_AUTOPILOT_PX4 || d.heartbeat.Autopilot == common.MAV_AUTOPILOT_ARDUPILOTMEGA
}
