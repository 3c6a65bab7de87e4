// Package physics simulates rigid bodies in generalised coordinates: arms on hinges and
// slides, free bodies, and the contacts between them, well enough that two fingers can
// hold a cube by friction alone.
//
// A Model describes bodies, joints, collision shapes and position servos in the
// vocabulary and the units of MuJoCo's documentation: SI, radians, quaternions as w, x,
// y, z. Compile checks it and returns a World, which Step advances by Model.TimeStep.
//
// The dynamics are those of Featherstone, Rigid Body Dynamics Algorithms (2008): spatial
// vectors (chapter 2), recursive Newton-Euler for the bias forces (chapter 5), the
// composite-rigid-body algorithm for the joint-space inertia (chapter 6) and its L'DL
// factorisation along the tree (section 6.5). Time advances by semi-implicit Euler steps
// that treat joint damping implicitly, as MuJoCo's do; unlike there, Coriolis and
// gyroscopic forces are taken at the middle of the step (dynamics.go), which keeps the
// energy of what spins.
//
// Contacts are solved for impulses, as in Catto, Iterative Dynamics with Temporal
// Coherence (2005): projected Gauss-Seidel that starts from the previous step's impulses.
// The normal direction is an implicit spring and damper, so that a body at rest lies a
// fraction of a millimetre deep in what it rests on; sliding friction is a circular
// Coulomb cone without compliance, so that what sticks does not creep. Contacts have no
// restitution.
//
// What is approximate is said where it happens, foremost in the collision of cylinders
// with boxes and with each other (collide_cylinder.go). The same Model and the same
// controls give the same bits on the same processor architecture.
package physics
