// Package eval measures policies on simulators: rollouts over seeds, success with its
// interval, paired comparison of policies on the same seeds, studies of what it depends on,
// and the pictures of all that. Package report, below it, makes a page of them.
package eval
