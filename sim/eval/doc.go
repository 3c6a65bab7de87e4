// Package eval measures policies on simulators: rollouts over seeds, success with its
// interval, paired comparison of policies on the same seeds, and the pictures of both.
package eval
