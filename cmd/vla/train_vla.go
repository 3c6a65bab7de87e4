package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"govla/policy/sampler"
	"govla/policy/smolvla"
	"govla/policy/train"
	"govla/sim"
)

// fromPixels trains a small VLA on a recording with cameras.
func (f *trainFlags) fromPixels() error {
	o, err := readConfig(f, train.ParseVLA)
	if err != nil {
		return err
	}
	f.apply(&o.Schedule)
	o.Data, o.Memory = f.data, int64(f.memory*1e9)
	if f.changed("head") {
		o.Head = smolvla.Head(f.head)
	}
	if f.changed("cameras") {
		o.Cameras = f.cameras
	}
	if f.init != "" {
		o.Init = f.init
	}
	if f.predict != "" {
		o.Prediction = sampler.Prediction(f.predict)
	}
	if f.printConfig {
		return writeJSON(f.cmd.OutOrStdout(), o)
	}
	if f.env != "" {
		world, err := sim.Lookup(f.env, sim.Options{})
		if err != nil {
			return err
		}
		o.State, o.Action = world.Spec.State[:world.RobotState], world.Spec.Action
		if len(o.RelativeTo) == 0 {
			o.RelativeTo = world.RelativeTo
		}
	}
	o.OnLoad = loadPrinter(f.cmd.ErrOrStderr())
	if o.OnCheckpoint, err = f.rollouts.prepare(f.env, o.Schedule, f.cmd.ErrOrStderr()); err != nil {
		return err
	}
	// Most of the heap are images, which are no work for the collector: garbage need not
	// take as much memory again before it is collected.
	debug.SetGCPercent(20)
	return train.RunVLA(f.cmd.Context(), o)
}

// loadPrinter reports about every two seconds how much of a recording is read.
func loadPrinter(w io.Writer) func(done, total int, bytes int64) {
	var mu sync.Mutex
	last := time.Now()
	return func(done, total int, bytes int64) {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) < 2*time.Second && done < total {
			return
		}
		last = time.Now()
		fmt.Fprintf(w, "episode %d/%d decoded; the images take %.2f GB of memory\n", done, total, float64(bytes)/1e9)
	}
}
