// Package teleop lets a person move a robot with the keys of a terminal.
//
// A Parser makes keys of a terminal's bytes, a Keyboard makes actions of keys, joint by
// joint or through the motion of the robot's hand, and an Operator hands them to the
// control loop as a policy would, so that everything that protects a robot from a policy
// protects it from its operator too: limits, rates, stopping when nothing new comes. A
// Terminal reads the keys and puts the terminal back in order.
//
// Terminals tell when a key is pressed, and again and again while it is held, but not when
// it is let go. A key therefore moves the robot for a short time, Hold, which the
// terminal's repetitions make longer.
package teleop
