// Package natsbus puts robots on a NATS message bus and drives them from there.
//
// Serve is the robot's side: it publishes the state and the cameras of any robot.Robot
// under vla.<robot>.> and carries out the commands that arrive. Dial is the control
// loop's side: a robot.Robot whose every call is a message. StartServer runs a NATS
// server inside the program, for those who have none.
//
// Time runs in one of two ways, which each commanding client chooses. In real time the
// served robot's own clock ticks at Spec.Rate: every tick pursues the newest command and
// publishes the state, and a robot that is no longer commanded is stopped. In lockstep a
// simulator advances by one control step for each command and the answer carries the
// command's number, so that driving it over the bus gives what driving it directly gives.
//
// One client commands a robot at a time; anybody may stop it. docs/protocol.md defines
// every subject, header and field.
package natsbus
