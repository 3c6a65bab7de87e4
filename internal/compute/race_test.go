//go:build race

package compute

// raceEnabled says that the race detector is on, under which pools forget what they hold.
const raceEnabled = true
