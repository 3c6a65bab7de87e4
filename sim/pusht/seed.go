package pusht

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/mathext/prng"
)

// InitialState returns the state that gym-pusht samples for a seed, to the last digit:
// the agent at whole pixels of [50,450), the block's at whole pixels of [100,400), and the
// angle normally distributed around -π with standard deviation 2π. Of the seed the lower
// 32 bits count.
//
// It is the state that the world is told to take up. World.Reset says where the block
// comes to lie then.
func InitialState(seed int64) State {
	random := newNumpyRandom(uint32(seed))
	return State{
		AgentX:     random.integer(50, 450),
		AgentY:     random.integer(50, 450),
		BlockX:     random.integer(100, 400),
		BlockY:     random.integer(100, 400),
		BlockAngle: random.normal()*2*math.Pi - math.Pi,
	}
}

// numpyRandom draws what numpy.random.RandomState draws from the same seed: the stream
// that NumPy keeps frozen (NEP 19), a Mersenne Twister with masked rejection for bounded
// integers and Marsaglia's polar method for normal numbers.
type numpyRandom struct{ twister *prng.MT19937 }

func newNumpyRandom(seed uint32) numpyRandom {
	twister := prng.NewMT19937()
	twister.Seed(uint64(seed))
	return numpyRandom{twister}
}

// integer returns a whole number of [low, high), as RandomState.randint: words are
// masked to as many bits as the largest result has until one is not too large.
func (r numpyRandom) integer(low, high uint32) float64 {
	largest := high - 1 - low
	mask := uint32(1)<<bits.Len32(largest) - 1
	for {
		if v := r.twister.Uint32() & mask; v <= largest {
			return float64(low + v)
		}
	}
}

// uniform returns a number of [0, 1) with 53 random bits, as RandomState.random_sample.
func (r numpyRandom) uniform() float64 {
	high, low := r.twister.Uint32()>>5, r.twister.Uint32()>>6
	return (float64(high)*(1<<26) + float64(low)) / (1 << 53)
}

// normal returns a standard normal number, as the first RandomState.randn after an even
// number of them. The method makes two at a time; NumPy gives out the second one first.
func (r numpyRandom) normal() float64 {
	for {
		x, y := 2*r.uniform()-1, 2*r.uniform()-1
		if s := x*x + y*y; s > 0 && s < 1 {
			return y * math.Sqrt(-2*math.Log(s)/s)
		}
	}
}
