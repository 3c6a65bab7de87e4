// Package mavlink connects robots over MAVLink 2 (https://mavlink.io), by UDP, TCP or a
// serial line, through gomavlib.
//
// Dial is the operator's side: a robot.Simulator that drives a vehicle. It arms before
// the first motion and disarms at the end, and it sends actions as
// SET_ACTUATOR_CONTROL_TARGET, as MAV_CMD_DO_SET_ACTUATOR (which PX4 takes) or as
// RC_CHANNELS_OVERRIDE (which ArduPilot takes). Serve is the vehicle's side: it puts any
// robot.Robot behind MAVLink. Observations come back in DEBUG_FLOAT_ARRAY.
//
// MAVLink has no message that describes a robot and none that resets a simulator or
// advances it by one step. What this package adds for that, and every number on the wire,
// is defined in docs/protocol-mavlink.md.
package mavlink
