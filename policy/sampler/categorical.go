package sampler

import (
	"fmt"
	"math/rand/v2"

	"govla/internal/compute"
)

// Categorical draws an index from the softmax of scores over temperature, or takes the highest
// where that is 0, among those allowed; nil allows all. It overwrites the scores. One that is
// no number is an error, as is nothing to choose from.
func Categorical(scores []float32, allowed []bool, temperature float64, rng *rand.Rand) (int32, error) {
	may := func(i int) bool { return allowed == nil || allowed[i] }
	best := -1
	for i, v := range scores {
		if v-v != 0 { // whatever is drawn would hide it from who checks the actions
			return 0, fmt.Errorf("score %d is %v", i, v)
		}
		if may(i) && (best < 0 || v > scores[best]) {
			best = i
		}
	}
	if best < 0 {
		return 0, fmt.Errorf("nothing is allowed")
	}
	if temperature == 0 {
		return int32(best), nil
	}
	n := 0 // of those allowed, moved to the front
	for i, v := range scores {
		if may(i) {
			scores[n] = v / float32(temperature)
			n++
		}
	}
	compute.Softmax(scores[:n])
	u := rng.Float32()
	last := best
	n = 0
	for i := range scores {
		if !may(i) {
			continue
		}
		if u -= scores[n]; u < 0 {
			return int32(i), nil
		}
		last = i
		n++
	}
	return int32(last), nil // by rounding
}
