package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"govla/actions"
	"govla/actions/recording"
	"govla/robot"
)

// patienceWithFailures is how many episodes in a row may fail where only those that
// succeed are kept.
const patienceWithFailures = 50

// take is an episode that waits to be written.
type take struct {
	seed   int64
	task   string
	frames []recording.Frame
	result robot.Result
}

// inLockstep records a policy on simulators that wait for it. Episodes are simulated side
// by side and written in the order of their seeds, so that the recording does not depend
// on how many there are at a time.
func (s *recordSession) inLockstep(ctx context.Context, first *link, p actions.Policy) error {
	if first.simulator() == nil {
		return errNoSimulator
	}
	playing, cancel := context.WithCancel(ctx)
	defer cancel()
	group, playing := errgroup.WithContext(playing)
	workers := s.flags.workers()
	type job struct {
		seed int64
		done chan take // with room for the answer
	}
	work, inOrder := make(chan job), make(chan job, workers)
	group.Go(func() error {
		for seed := s.next; ; seed++ {
			j := job{seed, make(chan take, 1)}
			for _, to := range []chan job{inOrder, work} {
				select {
				case to <- j:
				case <-playing.Done():
					return nil
				}
			}
		}
	})
	for n := range workers {
		group.Go(func() error {
			simulator := first.simulator()
			if n > 0 {
				world, err := s.env.Open()
				if err != nil {
					return err
				}
				defer world.Close()
				simulator = world
			}
			for {
				select {
				case j := <-work:
					t, err := s.play(playing, simulator, p, j.seed)
					if playing.Err() != nil {
						return nil // enough was recorded, or another one failed
					}
					if err != nil {
						return fmt.Errorf("seed %d: %w", j.seed, err)
					}
					j.done <- t
				case <-playing.Done():
					return nil
				}
			}
		})
	}
	err := s.collect(ctx, func() (take, error) {
		var j job
		select {
		case j = <-inOrder:
		case <-playing.Done():
			return take{}, context.Cause(playing)
		}
		select {
		case t := <-j.done:
			return t, nil
		case <-playing.Done():
			return take{}, context.Cause(playing)
		}
	})
	cancel()
	if failed := group.Wait(); failed != nil {
		err = failed
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

// collect writes episodes as next gives them, until there are enough.
func (s *recordSession) collect(ctx context.Context, next func() (take, error)) error {
	for failures := 0; s.report.Episodes < s.flags.episodes; {
		t, err := next()
		if err != nil {
			return err
		}
		failures++
		keep := s.flags.keep == "all" || t.result.Score.Success
		if keep {
			failures = 0
			if err := s.write(ctx, t); err != nil {
				return err
			}
		}
		s.done(recordedEpisode{Seed: new(t.seed), Kept: keep, Steps: len(t.frames), MaxReward: t.result.MaxReward, Success: t.result.Score.Success}, 0)
		if failures >= patienceWithFailures {
			return fmt.Errorf("%d episodes in a row failed: --keep all keeps them", failures)
		}
	}
	return nil
}

// play simulates one episode.
func (s *recordSession) play(ctx context.Context, simulator robot.Simulator, p actions.Policy, seed int64) (take, error) {
	t := take{seed: seed}
	if _, err := simulator.Reset(ctx, seed); err != nil {
		return t, fmt.Errorf("reset: %w", err)
	}
	recorded := seed
	if s.beginner != nil {
		if over, err := s.begin(ctx, simulator, seed); err != nil || over {
			return t, err
		}
		recorded = takenOver(seed)
	}
	r := newRows(s.layout, recorded, func(f recording.Frame) error {
		t.frames = append(t.frames, copyFrame(f))
		return nil
	})
	watched := &watchedPolicy{Policy: p}
	loop := robot.Loop{Robot: simulator, Policy: watched, Instruction: s.flags.instruction, OnTick: func(tick *robot.Tick) {
		if tick.Number == 0 {
			t.task = s.instruction(tick.Observation)
		}
		r.strays = watched.strays.Load()
		r.add(tick)
	}}
	var err error
	t.result, err = loop.Run(ctx, uint64(seed))
	return t, err
}

// watchedPolicy remembers of the newest chunk whether it strays; in lockstep that is the one
// whose actions are played.
type watchedPolicy struct {
	actions.Policy
	strays atomic.Bool
}

func (w *watchedPolicy) Predict(ctx context.Context, in actions.Input) (actions.Chunk, error) {
	chunk, err := w.Policy.Predict(ctx, in)
	w.strays.Store(chunk.Stray)
	return chunk, err
}

// longestBeginning is how long a policy moves the robot at most before another takes over.
const longestBeginning = 8 * time.Second

// begin has another policy move the robot for a random time, and says whether the episode was
// over by then.
func (s *recordSession) begin(ctx context.Context, simulator robot.Simulator, seed int64) (over bool, err error) {
	rng := rand.New(rand.NewPCG(uint64(seed), 0x7a4e))
	ticks := rng.IntN(int(longestBeginning.Seconds()*s.layout.rate) + 1)
	if ticks == 0 {
		return false, nil
	}
	loop := robot.Loop{Robot: simulator, Policy: s.beginner, Instruction: s.flags.instruction, MaxSteps: ticks}
	result, err := loop.Run(ctx, uint64(seed))
	return result.Score.Done || result.Score.Success, err
}

// takenOver turns a seed into what the rows of its episode have where the recording does not
// begin with the reset, and back.
func takenOver(seed int64) int64 { return -1 - seed }

// write adds a whole episode to the recording.
func (s *recordSession) write(ctx context.Context, t take) error {
	if err := s.writer.BeginEpisode(ctx, t.task); err != nil {
		return err
	}
	for _, f := range t.frames {
		if err := s.writer.Add(ctx, f); err != nil {
			return errors.Join(err, s.writer.DiscardEpisode())
		}
	}
	return s.writer.EndEpisode()
}
