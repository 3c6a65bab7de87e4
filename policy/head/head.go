// Package head holds the networks between an observation and a chunk of actions: one
// observation encoder and, on it, action heads behind one interface. Flow draws the whole
// chunk at once by flow matching; Tokens writes it token by token.
//
// Everything in here works on normalised numbers: observations and actions in about
// [-1, 1]. The networks are written once, over the operations of Net, for training and
// for inference.
package head

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"

	"govla/internal/compute"
)

// Head turns a condition, the encoded observation of shape [1, EncoderWidth], into a
// chunk. Implementations are safe for concurrent use with a Session each.
type Head interface {
	// Sample draws one normalised chunk, shape [Horizon, ActionDim], and says how many
	// evaluations of the network it took. The chunk is valid until the session's Reset.
	Sample(ctx context.Context, s *Session, condition compute.Matrix, rng *rand.Rand) (chunk compute.Matrix, calls int, err error)
}

// Model is an encoder with a head and their weights.
type Model struct {
	Architecture Architecture
	Head         Head

	weights  *Weights
	sessions sync.Pool // of *Session
}

// NewModel checks, by a trial run, that weights has every tensor of the architecture in
// the right shape, and that they are numbers.
func NewModel(a Architecture, h Head, w *Weights) (*Model, error) {
	m := &Model{Architecture: a, Head: h, weights: w}
	m.sessions.New = func() any { return NewSession(w) }
	if err := a.validate(); err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(0, 0))
	chunk, _, err := m.Sample(context.Background(), make([]float32, a.ObservationDim), rng)
	if err != nil {
		return nil, err
	}
	for i, v := range chunk {
		if v-v != 0 {
			return nil, fmt.Errorf("trial run: number %d of the chunk is %v: the weights are not finite", i, v)
		}
	}
	return m, nil
}

// Sample encodes the normalised observation window, shape [ObservationDim], and draws a
// normalised chunk, shape [Horizon·ActionDim].
func (m *Model) Sample(ctx context.Context, observation []float32, rng *rand.Rand) (chunk []float32, calls int, err error) {
	if len(observation) != m.Architecture.ObservationDim {
		return nil, 0, fmt.Errorf("observation window has %d numbers, want %d", len(observation), m.Architecture.ObservationDim)
	}
	s := m.sessions.Get().(*Session)
	defer m.sessions.Put(s)
	s.Reset()
	condition := Encode[compute.Matrix](s, m.Architecture, compute.Dense(1, len(observation), observation))
	out, calls, err := m.Head.Sample(ctx, s, condition, rng)
	if err != nil {
		return nil, calls, err
	}
	return append([]float32(nil), out.Data...), calls, nil
}

func (a Architecture) validate() error {
	for _, size := range []struct {
		field string
		value int
	}{
		{"observation_dim", a.ObservationDim}, {"horizon", a.Horizon}, {"action_dim", a.ActionDim},
		{"encoder_width", a.EncoderWidth}, {"head_width", a.HeadWidth},
	} {
		if size.value < 1 || size.value > 1<<16 {
			return fmt.Errorf("network: %s is %d, want 1 to 65536", size.field, size.value)
		}
	}
	if a.TimeFrequencies < 0 || a.TimeFrequencies > 1024 || a.Bins < 0 || a.Bins > 1<<16 {
		return fmt.Errorf("network: time_frequencies %d and bins %d, want 0 to 1024 and 0 to 65536", a.TimeFrequencies, a.Bins)
	}
	if a.EncoderBlocks < 0 || a.HeadBlocks < 0 || a.EncoderBlocks > 256 || a.HeadBlocks > 256 {
		return fmt.Errorf("network: encoder_blocks %d and head_blocks %d, want 0 to 256", a.EncoderBlocks, a.HeadBlocks)
	}
	return nil
}

func inverseSqrt(n int) float32 { return float32(1 / math.Sqrt(float64(n))) }
