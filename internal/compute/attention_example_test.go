package compute_test

import (
	"fmt"

	"govla/internal/compute"
)

// A prefix that many steps attend to is packed once; each step packs its own tokens, which
// see the prefix and those before them.
func ExampleAttend() {
	a := compute.Attention{Heads: 1, KVHeads: 1, HeadSize: 1}
	column := func(x ...float32) compute.Matrix { return compute.Dense(len(x), 1, x) }

	var prefix, suffix compute.KeyValues
	compute.PackKeyValues(&prefix, a, column(0), column(3))
	compute.PackKeyValues(&suffix, a, column(0, 0), column(1, 5))

	out := compute.NewMatrix(2, 1)
	compute.Attend(a, out, column(1, 1), compute.Mask{Causal: true}, &prefix, &suffix)
	fmt.Println(out.Data) // keys are equal: the mean of the values that a query sees
	// Output: [2 3]
}
