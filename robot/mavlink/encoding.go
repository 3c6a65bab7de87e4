package mavlink

import (
	"fmt"
	"math"

	"github.com/bluenviron/gomavlib/v3/pkg/dialects/common"
	"github.com/bluenviron/gomavlib/v3/pkg/message"

	"govla/actions"
)

// Encoding is a way to send an action.
type Encoding int

const (
	// ControlTarget is SET_ACTUATOR_CONTROL_TARGET: 8 dimensions a message, up to 32.
	// It is the only encoding that can run in lockstep.
	ControlTarget Encoding = iota
	// SetActuator is COMMAND_LONG with MAV_CMD_DO_SET_ACTUATOR: 6 a message, up to 96.
	SetActuator
	// ChannelsOverride is RC_CHANNELS_OVERRIDE: up to 18 dimensions in one message, in
	// steps of 1/1000 of a dimension's range.
	ChannelsOverride
)

// encodings holds what the constants above stand for.
var encodings = [...]struct {
	name       string
	dimensions int // most that it can carry
}{
	ControlTarget:    {"control", controlGroups * groupLength},
	SetActuator:      {"actuator", actuatorSets * setLength},
	ChannelsOverride: {"rc", channels},
}

const (
	groupLength, controlGroups = 8, 4
	setLength, actuatorSets    = 6, 16
	channels                   = 18
)

// ParseEncoding reads "control", "actuator" or "rc".
func ParseEncoding(name string) (Encoding, error) {
	for e, is := range encodings {
		if is.name == name {
			return Encoding(e), nil
		}
	}
	return 0, fmt.Errorf("encoding %q, want control, actuator or rc", name)
}

func (e Encoding) String() string {
	if e < 0 || int(e) >= len(encodings) {
		return fmt.Sprintf("Encoding(%d)", int(e))
	}
	return encodings[e].name
}

// check reports whether an action of n dimensions can be sent this way.
func (e Encoding) check(n int) error {
	if e < 0 || int(e) >= len(encodings) {
		return fmt.Errorf("unknown encoding %v", e)
	}
	if n > encodings[e].dimensions {
		return fmt.Errorf("encoding %v carries at most %d dimensions, the action has %d", e, encodings[e].dimensions, n)
	}
	return nil
}

// target is the system and component that a message is for.
type target struct{ system, component byte }

// encode appends the messages that command action, shape [len(space)].
func (e Encoding) encode(to []message.Message, space actions.Space, action []float32, at target, stamp uint64) []message.Message {
	switch e {
	case SetActuator:
		return encodeSetActuator(to, space, action, at)
	case ChannelsOverride:
		return append(to, encodeOverride(space, action, at))
	default:
		return encodeControlTarget(to, space, action, at, stamp)
	}
}

func encodeControlTarget(to []message.Message, space actions.Space, action []float32, at target, stamp uint64) []message.Message {
	for first := 0; first < len(action); first += groupLength {
		m := &common.MessageSetActuatorControlTarget{
			TimeUsec:        stamp,
			GroupMlx:        uint8(first / groupLength),
			TargetSystem:    at.system,
			TargetComponent: at.component,
		}
		for i := first; i < min(first+groupLength, len(action)); i++ {
			m.Controls[i-first] = normalise(space[i], action[i])
		}
		to = append(to, m)
	}
	return to
}

func encodeSetActuator(to []message.Message, space actions.Space, action []float32, at target) []message.Message {
	for first := 0; first < len(action); first += setLength {
		m := &common.MessageCommandLong{
			TargetSystem:    at.system,
			TargetComponent: at.component,
			Command:         common.MAV_CMD_DO_SET_ACTUATOR,
			Param7:          float32(first / setLength),
		}
		for i, param := range actuatorParams(m) {
			*param = float32(math.NaN())
			if at := first + i; at < len(action) {
				*param = normalise(space[at], action[at])
			}
		}
		to = append(to, m)
	}
	return to
}

// actuatorParams are the parameters of MAV_CMD_DO_SET_ACTUATOR that hold values.
func actuatorParams(m *common.MessageCommandLong) [setLength]*float32 {
	return [...]*float32{&m.Param1, &m.Param2, &m.Param3, &m.Param4, &m.Param5, &m.Param6}
}

// Special values of RC_CHANNELS_OVERRIDE. A zero means "release" in channels 1 to 8 and
// "ignore" in the later ones, which MAVLink 2 added.
const (
	channelIgnore  = math.MaxUint16
	channelRelease = math.MaxUint16 - 1
	oldChannels    = 8
)

func encodeOverride(space actions.Space, action []float32, at target) *common.MessageRcChannelsOverride {
	m := &common.MessageRcChannelsOverride{TargetSystem: at.system, TargetComponent: at.component}
	for i, channel := range overrideChannels(m) {
		switch {
		case i < len(action):
			*channel = pulse(space[i], action[i])
		case i < oldChannels:
			*channel = channelIgnore
		}
	}
	return m
}

// releaseOverride gives the first n channels back to the vehicle's own radio.
func releaseOverride(n int, at target) *common.MessageRcChannelsOverride {
	m := &common.MessageRcChannelsOverride{TargetSystem: at.system, TargetComponent: at.component}
	for i, channel := range overrideChannels(m) {
		switch {
		case i < n && i >= oldChannels:
			*channel = channelRelease
		case i >= n && i < oldChannels:
			*channel = channelIgnore
		}
	}
	return m
}

// overrideChannels are the message's channels in order.
func overrideChannels(m *common.MessageRcChannelsOverride) [channels]*uint16 {
	return [...]*uint16{
		&m.Chan1Raw, &m.Chan2Raw, &m.Chan3Raw, &m.Chan4Raw, &m.Chan5Raw, &m.Chan6Raw,
		&m.Chan7Raw, &m.Chan8Raw, &m.Chan9Raw, &m.Chan10Raw, &m.Chan11Raw, &m.Chan12Raw,
		&m.Chan13Raw, &m.Chan14Raw, &m.Chan15Raw, &m.Chan16Raw, &m.Chan17Raw, &m.Chan18Raw,
	}
}

// encodeServos appends the SERVO_OUTPUT_RAW messages that show action on a ground
// station, 16 dimensions a message.
func encodeServos(to []message.Message, space actions.Space, action []float32, stamp uint64) []message.Message {
	for first := 0; first < len(action); first += 16 {
		m := &common.MessageServoOutputRaw{TimeUsec: uint32(stamp), Port: uint8(first / 16)}
		servos := [...]*uint16{
			&m.Servo1Raw, &m.Servo2Raw, &m.Servo3Raw, &m.Servo4Raw, &m.Servo5Raw, &m.Servo6Raw,
			&m.Servo7Raw, &m.Servo8Raw, &m.Servo9Raw, &m.Servo10Raw, &m.Servo11Raw, &m.Servo12Raw,
			&m.Servo13Raw, &m.Servo14Raw, &m.Servo15Raw, &m.Servo16Raw,
		}
		for i := first; i < min(first+len(servos), len(action)); i++ {
			*servos[i-first] = pulse(space[i], action[i])
		}
		to = append(to, m)
	}
	return to
}
