package mavlink

import (
	"fmt"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"

	"govla/actions"
)

// actuators puts actions together from the messages that an operator sends. A message is
// taken as a whole or not at all. Everything in action is within the limits of space.
type actuators struct {
	space  actions.Space
	action []float32 // what is commanded; valid once ready
	given  []bool    // which dimensions have been commanded since clear

	// A control target of several groups, as far as it is here.
	staged []float32
	groups uint8 // bit i: group i is here
	stamp  uint64
}

func newActuators(space actions.Space) *actuators {
	n := len(space)
	return &actuators{space: space, action: make([]float32, n), given: make([]bool, n), staged: make([]float32, n)}
}

// clear forgets everything that was commanded.
func (a *actuators) clear() {
	clear(a.given)
	a.groups, a.stamp = 0, 0
}

// ready says whether every dimension has been commanded.
func (a *actuators) ready() bool {
	for _, given := range a.given {
		if !given {
			return false
		}
	}
	return true
}

// controlTarget takes one group. It reports whether the action is now complete: all
// groups of one time stamp are here. A group with an older time stamp is ignored.
func (a *actuators) controlTarget(m *common.MessageSetActuatorControlTarget) (complete bool, err error) {
	first := int(m.GroupMlx) * groupLength
	if m.GroupMlx >= controlGroups || first >= len(a.space) {
		return false, fmt.Errorf("actuator group %d: the robot has %d actuators", m.GroupMlx, len(a.space))
	}
	for i, c := range m.Controls {
		if err := a.check(first+i, c); err != nil {
			return false, err
		}
		if first+i < len(a.space) && c != c {
			return false, fmt.Errorf("actuator %d is NaN", first+i+1)
		}
	}
	if m.TimeUsec < a.stamp {
		return false, nil
	}
	if m.TimeUsec > a.stamp {
		a.stamp, a.groups = m.TimeUsec, 0
	}
	for i := first; i < min(first+groupLength, len(a.space)); i++ {
		a.staged[i] = denormalise(a.space[i], m.Controls[i-first])
	}
	a.groups |= 1 << m.GroupMlx
	if all := uint8(1)<<((len(a.space)+groupLength-1)/groupLength) - 1; a.groups != all {
		return false, nil
	}
	a.groups = 0
	copy(a.action, a.staged)
	for i := range a.given {
		a.given[i] = true
	}
	return true, nil
}

// setActuator takes a MAV_CMD_DO_SET_ACTUATOR. NaN leaves a dimension as it is.
func (a *actuators) setActuator(m *common.MessageCommandLong) error {
	set := int(min(max(m.Param7, -1), actuatorSets)) // NaN and fractions differ from it below
	if float32(set) != m.Param7 || set < 0 || set >= actuatorSets {
		return fmt.Errorf("actuator set %v, want 0 to %d", m.Param7, actuatorSets-1)
	}
	params := actuatorParams(m)
	for i, c := range params {
		if err := a.check(set*setLength+i, *c); err != nil {
			return err
		}
	}
	for i, c := range params {
		if at := set*setLength + i; at < len(a.space) && *c == *c {
			a.action[at], a.given[at] = denormalise(a.space[at], *c), true
		}
	}
	return nil
}

// check reports a value for an actuator that the robot does not have, or one that is
// infinite. NaN and 0 are what unused places hold.
func (a *actuators) check(actuator int, c float32) error {
	if c == c && !finite(c) {
		return fmt.Errorf("actuator %d is %v", actuator+1, c)
	}
	if actuator >= len(a.space) && c == c && c != 0 {
		return fmt.Errorf("value for actuator %d: the robot has %d actuators", actuator+1, len(a.space))
	}
	return nil
}

// override takes RC_CHANNELS_OVERRIDE. A channel that is ignored or released leaves its
// dimension as it is, for there is no radio behind it; channels beyond the robot's
// dimensions are ignored.
func (a *actuators) override(m *common.MessageRcChannelsOverride) error {
	all := overrideChannels(m)
	mine := all[:min(len(a.space), len(all))]
	for i, p := range mine {
		if !channelUnused(i, *p) && (*p < pulseLowest || *p > pulseHighest) {
			return fmt.Errorf("channel %d is %d, want %d to %d µs", i+1, *p, pulseLowest, pulseHighest)
		}
	}
	for i, p := range mine {
		if !channelUnused(i, *p) {
			a.action[i], a.given[i] = fromPulse(a.space[i], *p), true
		}
	}
	return nil
}

func channelUnused(i int, p uint16) bool {
	return p == 0 || p == channelIgnore || i >= oldChannels && p == channelRelease
}
