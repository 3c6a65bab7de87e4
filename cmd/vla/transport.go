package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"govla/robot"
	"govla/robot/mavlink"
	"govla/robot/natsbus"
	"govla/sim"
)

// transportFlags say how the control loop reaches the robot.
type transportFlags struct {
	transport string
	nats      string
	robot     string
	mavlink   string
	encoding  string
	key       string
}

func (f *transportFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.transport, "transport", "nats", "how commands reach the robot: nats, mavlink or direct")
	flags.StringVar(&f.nats, "nats", "", "URL of a NATS server (default: one inside this program)")
	flags.StringVar(&f.robot, "robot", "", "name of a robot on --nats to drive (default: a simulator of our own)")
	flags.StringVar(&f.mavlink, "mavlink", "", "address of a MAVLink vehicle to drive, such as udp:127.0.0.1:14550 (default: a simulator of our own)")
	f.addMAVLink(cmd)
}

func (f *transportFlags) addMAVLink(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "mavlink-key", "", "file with the 32-byte key that signs MAVLink messages")
	cmd.Flags().StringVar(&f.encoding, "mavlink-encoding", mavlink.ControlTarget.String(), "how actions travel over MAVLink: control, actuator or rc")
}

// normalise lets an address choose the transport.
func (f *transportFlags) normalise(cmd *cobra.Command) error {
	switch {
	case f.mavlink != "" && f.nats != "":
		return errors.New("--nats and --mavlink exclude each other")
	case f.mavlink != "" && !cmd.Flags().Changed("transport"):
		f.transport = "mavlink"
	}
	switch {
	case f.transport != "nats" && f.transport != "mavlink" && f.transport != "direct":
		return fmt.Errorf("transport %q is not known; choose nats, mavlink or direct", f.transport)
	case f.mavlink != "" && f.transport != "mavlink":
		return fmt.Errorf("--mavlink does not go with --transport %s", f.transport)
	case f.nats != "" && f.transport != "nats":
		return fmt.Errorf("--nats does not go with --transport %s", f.transport)
	case f.robot != "" && f.nats == "":
		return errors.New("--robot names a robot on a NATS server: say which with --nats URL")
	}
	return nil
}

// connection is a simulator reached over a transport, with whatever of it runs in this
// process: a server, and the service that puts the simulator behind the transport.
type connection struct {
	robot.Simulator
	closers []func() error // last one first
}

// Close closes the driver first, so that it can still stop its robot.
func (c *connection) Close() error {
	var errs []error
	if c.Simulator != nil {
		errs = append(errs, c.Simulator.Close())
	}
	for i := len(c.closers) - 1; i >= 0; i-- {
		errs = append(errs, c.closers[i]())
	}
	return errors.Join(errs...)
}

// dial reaches the robot that the flags name, starting a simulator of env where they name none.
func (f *transportFlags) dial(ctx context.Context, env sim.Environment, lockstep bool) (_ *connection, err error) {
	c := &connection{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	switch f.transport {
	case "nats":
		err = f.dialNATS(ctx, c, env, lockstep)
	case "mavlink":
		err = f.dialMAVLink(ctx, c, env, lockstep)
	default:
		c.Simulator, err = env.Open()
	}
	return c, err
}

func (f *transportFlags) dialNATS(ctx context.Context, c *connection, env sim.Environment, lockstep bool) error {
	url, name := f.nats, f.robot
	if url == "" {
		server, err := natsbus.StartServer()
		if err != nil {
			return err
		}
		c.closers = append(c.closers, func() error { server.Shutdown(); return nil })
		url = server.URL
	}
	if name == "" {
		name = env.Name
		world, err := env.Open()
		if err != nil {
			return err
		}
		// The service outlives ctx: the driver's last message, to stop, must find it.
		service, err := natsbus.Serve(context.WithoutCancel(ctx), url, world, natsbus.ServeOptions{Log: quiet()})
		if err != nil {
			return errors.Join(err, world.Close())
		}
		c.closers = append(c.closers, world.Close, service.Close)
	}
	r, err := natsbus.Dial(ctx, url, name, natsbus.DialOptions{Lockstep: lockstep})
	if err != nil {
		return err
	}
	simulator, ok := r.(robot.Simulator)
	if !ok {
		return errors.Join(fmt.Errorf("robot %s is not a simulator: it can be neither reset nor scored", name), r.Close())
	}
	c.Simulator = simulator
	return nil
}

func (f *transportFlags) dialMAVLink(ctx context.Context, c *connection, env sim.Environment, lockstep bool) error {
	key, encoding, err := f.mavlinkOptions()
	if err != nil {
		return err
	}
	address := f.mavlink
	if address == "" {
		world, err := env.Open()
		if err != nil {
			return err
		}
		serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
		listening, ended := make(chan string, 1), make(chan error, 1)
		go func() {
			ended <- mavlink.Serve(serving, world, "udpin:127.0.0.1:0", mavlink.ServeOptions{
				Key: key, Listening: func(address string) { listening <- address }, Logger: quiet(),
			})
		}()
		c.closers = append(c.closers, world.Close, func() error { cancel(); return <-ended })
		select {
		case at := <-listening:
			address = "udp:" + at[len("udpin:"):]
		case err := <-ended:
			ended <- nil // for the closer
			return err
		}
	}
	driver, err := mavlink.Dial(ctx, address, env.Spec, mavlink.Options{Encoding: encoding, Lockstep: lockstep, Key: key})
	if err != nil {
		return err
	}
	c.Simulator = driver
	return nil
}

// quiet logs what a user must know of a robot that runs in this process.
func quiet() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (f *transportFlags) mavlinkOptions() (*mavlink.Key, mavlink.Encoding, error) {
	encoding, err := mavlink.ParseEncoding(f.encoding)
	if err != nil || f.key == "" {
		return nil, encoding, err
	}
	key, err := mavlink.ReadKey(f.key)
	return key, encoding, err
}

// serve puts a simulator of env behind the transport that the flags name until ctx is
// done. ready is called with where it can be reached.
func (f *transportFlags) serve(ctx context.Context, env sim.Environment, name string, ready func(where string)) error {
	world, err := env.Open()
	if err != nil {
		return err
	}
	defer world.Close()
	if f.mavlink != "" {
		key, _, err := f.mavlinkOptions()
		if err != nil {
			return err
		}
		return mavlink.Serve(ctx, world, f.mavlink, mavlink.ServeOptions{
			Key: key, Listening: ready, Logger: slog.Default(),
		})
	}
	url := f.nats
	if url == "" {
		server, err := natsbus.StartServer()
		if err != nil {
			return err
		}
		defer server.Shutdown()
		url = server.URL
	}
	service, err := natsbus.Serve(ctx, url, world, natsbus.ServeOptions{Name: name})
	if err != nil {
		return err
	}
	ready(fmt.Sprintf("--nats %s --robot %s", url, name))
	return service.Wait()
}
