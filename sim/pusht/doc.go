// Package pusht is the PushT benchmark (Florence et al., arXiv 2109.00137; Chi et al.,
// arXiv 2303.04137): a round agent pushes a T-shaped block over a table, seen from above,
// until it covers the T drawn there. It holds the world, its pictures, and Env, which is
// the world as a robot.Simulator.
//
// The world is 512 by 512 px with y pointing down. The agent is a disc that a PD law
// pulls towards a commanded position; the block has full friction with the table. The
// physics is Chipmunk's, in its Go port github.com/jakecoffman/cp: the numbers and the
// order of calls follow gym-pusht, so that the initial state of a seed, the motion, the
// coverage and the pictures are those of the published recordings and results.
package pusht
