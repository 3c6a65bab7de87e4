package pusht

import (
	"math"
	"testing"
)

// Episodes of 300 steps, making the world included, for an agent that spirals outwards
// from the middle and touches the block in about half of them, as a human demonstrator's
// does, and for one that is after the block all the time and ends up with it in a corner.
func BenchmarkStep(b *testing.B) {
	for name, target := range map[string]func(s State, step int) (x, y float64){
		"spiral": func(_ State, step int) (x, y float64) {
			angle, radius := float64(step)/5, float64(step)/2+50
			return 256 + radius*math.Cos(angle), 256 + radius*math.Sin(angle)
		},
		"chase": func(s State, _ int) (x, y float64) { return s.BlockX, s.BlockY },
	} {
		b.Run(name, func(b *testing.B) {
			world := &World{}
			touched := 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				step := i % 300
				if step == 0 {
					world.Reset(InitialState(int64(i)))
				}
				world.Step(target(world.State(), step))
				if world.Contacts() > 0 {
					touched++
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "steps/s")
			b.ReportMetric(100*float64(touched)/float64(b.N), "%touching")
		})
	}
}

// What people do: the recorded demonstrations, each from its seed.
func BenchmarkReplay(b *testing.B) {
	episodes := recordedEpisodes(b)
	world, steps := &World{}, 0
	for i := 0; b.Loop(); i++ {
		seed := i % len(episodes)
		world.Reset(InitialState(int64(seed)))
		for _, f := range episodes[seed] {
			world.Step(f.targetX, f.targetY)
		}
		steps += len(episodes[seed])
	}
	b.ReportMetric(float64(steps)/b.Elapsed().Seconds(), "steps/s")
}

func BenchmarkReset(b *testing.B) {
	world := &World{}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		world.Reset(InitialState(int64(i)))
	}
}

func BenchmarkCoverage(b *testing.B) {
	s := State{BlockX: 250, BlockY: 260, BlockAngle: 0.9}
	for b.Loop() {
		s.BlockAngle += s.Coverage() / 10
	}
}
