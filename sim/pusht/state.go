package pusht

import "math"

// Size is the width and height of the world in px.
const Size = 512

// State is where everything is. Between two control steps the world remembers besides it
// only the agent's velocity and the contacts that last.
type State struct {
	AgentX, AgentY float64 // centre of the disc, px
	BlockX, BlockY float64 // middle of the outer edge of the T's bar, px
	BlockAngle     float64 // rad, clockwise on the screen; 0 has the stem pointing down
}

// Keypoints returns x and y of the block's 8 corners, in px. In the block's frame, where
// the stem runs along +y, they are (-60,30) (60,30) (60,0) (-60,0) for the bar and
// (-15,30) (-15,120) (15,120) (15,30) for the stem. It is the order of the observation
// "environment_state" in gym-pusht and in the recordings made with it.
func (s State) Keypoints() [16]float64 {
	var keypoints [16]float64
	block := s.block()
	for i, corner := range tee {
		p := block.toWorld(corner)
		keypoints[2*i], keypoints[2*i+1] = p.x, p.y
	}
	return keypoints
}

func (s State) block() pose { return newPose(s.BlockX, s.BlockY, s.BlockAngle) }

// tee holds the corners of the T in its own frame, first the bar's and then the stem's.
var tee = [8]point{
	{-60, 30}, {60, 30}, {60, 0}, {-60, 0},
	{-15, 30}, {-15, 120}, {15, 120}, {15, 30},
}

// bar and stem are the two rectangles that make up tee. They share an edge only.
var (
	bar  = [4]point(tee[:4])
	stem = [4]point(tee[4:])
)

// goal is where the block has to go.
var goal = newPose(Size/2, Size/2, math.Pi/4)

type point struct{ x, y float64 }

// pose is a position and a direction in the plane.
type pose struct {
	origin   point
	sin, cos float64
}

func newPose(x, y, angle float64) pose {
	sin, cos := math.Sincos(angle)
	return pose{point{x, y}, sin, cos}
}

// toWorld maps a point of the pose's frame into the world.
func (p pose) toWorld(q point) point {
	return point{p.origin.x + p.cos*q.x - p.sin*q.y, p.origin.y + p.sin*q.x + p.cos*q.y}
}

// toLocal maps a point of the world into the pose's frame.
func (p pose) toLocal(q point) point {
	x, y := q.x-p.origin.x, q.y-p.origin.y
	return point{p.cos*x + p.sin*y, p.cos*y - p.sin*x}
}
