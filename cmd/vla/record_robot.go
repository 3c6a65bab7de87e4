package main

import (
	"context"
	"errors"

	"govla/robot"
	"govla/robot/natsbus"
	"govla/sim"
)

// link is a robot that is reached over a transport: a simulator or not.
type link struct {
	robot.Robot
	close func() error
}

// Close stops the robot and ends what of it runs in this process.
func (l *link) Close() error { return l.close() }

// dialAny is dial for verbs that take any robot: one that --robot names need not be a
// simulator.
func (f *transportFlags) dialAny(ctx context.Context, env sim.Environment, lockstep bool) (*link, error) {
	if f.transport == "nats" && f.robot != "" {
		r, err := natsbus.Dial(ctx, f.nats, f.robot, natsbus.DialOptions{Lockstep: lockstep})
		if err != nil {
			return nil, err
		}
		return &link{r, r.Close}, nil
	}
	c, err := f.dial(ctx, env, lockstep)
	if err != nil {
		return nil, err
	}
	l := &link{c.Simulator, c.Close}
	if f.mavlink != "" && !lockstep {
		// MAVLink's driver is a simulator whatever the vehicle is: trying tells.
		if _, err := c.Simulator.Reset(ctx, 0); ctx.Err() != nil {
			return nil, errors.Join(context.Cause(ctx), c.Close())
		} else if err != nil {
			l.Robot = struct{ robot.Robot }{c.Simulator}
		}
	}
	return l, nil
}

// simulator returns the robot as a simulator that can be reset, or nil.
func (l *link) simulator() robot.Simulator {
	s, _ := l.Robot.(robot.Simulator)
	return s
}

var errNoSimulator = errors.New("the robot is no simulator: it cannot be set back before an episode")
