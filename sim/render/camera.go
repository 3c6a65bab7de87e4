package render

import (
	"fmt"
	"math"
)

// Camera is a pinhole camera with square pixels and its principal point in the middle.
type Camera struct {
	Pose        Pose    // of its optical frame in the world: x right, y down, z forward
	FieldOfView float64 // from the picture's upper to its lower edge, radians
	Near, Far   float64 // m of depth; what lies nearer or farther is not drawn. 0.01 and 100 where 0
}

// Intrinsics are a camera's entries of the matrix K = [Fx 0 Cx; 0 Fy Cy; 0 0 1], in
// pixels: a point (x, y, z) of its frame is seen at (Fx·x/z + Cx, Fy·y/z + Cy).
type Intrinsics struct{ Fx, Fy, Cx, Cy float64 }

// Intrinsics returns K for a picture of width by height pixels.
func (c *Camera) Intrinsics(width, height int) Intrinsics {
	tangent := float64(float32(math.Tan(c.FieldOfView / 2))) // see the package comment
	f := float64(height) / (2 * tangent)
	return Intrinsics{Fx: f, Fy: f, Cx: float64(width-1) / 2, Cy: float64(height-1) / 2}
}

// Project returns the pixel coordinates at which a picture of width by height pixels shows
// point, and its depth. Where the depth is not positive the point is not seen, and the
// coordinates mean nothing.
func (c *Camera) Project(point Vec, width, height int) (x, y, depth float64) {
	k, frame := c.Intrinsics(width, height), c.Pose.axes()
	p := frame.in(point.sub(c.Pose.Position))
	return mul(k.Fx, p.X/p.Z) + k.Cx, mul(k.Fy, p.Y/p.Z) + k.Cy, p.Z
}

// Unproject returns the point that is seen at the pixel coordinates x, y with that depth,
// the inverse of Project.
func (c *Camera) Unproject(x, y, depth float64, width, height int) Vec {
	k, frame := c.Intrinsics(width, height), c.Pose.axes()
	return frame.out(k.ray(x, y).scale(depth)).add(c.Pose.Position)
}

// ray returns the direction, of depth 1, in which the pixel coordinates x, y look.
func (k Intrinsics) ray(x, y float64) Vec { return Vec{(x - k.Cx) / k.Fx, (y - k.Cy) / k.Fy, 1} }

// depths returns the range of depths that is drawn.
func (c *Camera) depths() (near, far float64) {
	near, far = c.Near, c.Far
	if near == 0 {
		near = 0.01
	}
	if far == 0 {
		far = 100
	}
	return near, far
}

func (c *Camera) check() error {
	if err := c.Pose.check(); err != nil {
		return err
	}
	if !(c.FieldOfView >= 1e-3 && c.FieldOfView <= math.Pi-1e-3) {
		return fmt.Errorf("field of view of %v rad is not between 0 and π", c.FieldOfView)
	}
	if near, far := c.depths(); !(near >= 1e-6 && far > near && far <= farthest) {
		return fmt.Errorf("near %v m and far %v m do not satisfy 1e-6 ≤ near < far ≤ 1e6", near, far)
	}
	return nil
}
