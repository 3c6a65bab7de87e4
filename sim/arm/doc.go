// Package arm simulates an SO-101 arm, five joints and a gripper, at a table with cubes, a
// bowl, coloured zones or drawers: tasks with an instruction in words, cameras, a score and
// a scripted expert. Env is all of it as a robot.Simulator.
//
// The arm's dimensions, masses, inertias, joint limits and servos are those of the SO-101
// as its makers publish them (TheRobotStudio/SO-ARM100, so101_new_calib); its parts collide
// and are drawn as boxes, capsules and cylinders fitted to theirs. Joints have LeRobot's
// names and order, and positions are in radians.
//
// The world's frame has its origin on the table under the arm's base, x pointing forward,
// y to the arm's left and z up. The hand's frame, the site Hand, lies between the fingers'
// tips: z points where the fingers point, x from the fixed finger to the moving one.
package arm
