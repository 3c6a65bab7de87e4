package arm

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"govla/sim/physics"
)

// triangle has its corners in a body's frame, m.
type triangle [3]physics.Vec3

// readMesh reads a binary STL file: 80 bytes of title, the number of triangles, and each as
// a normal, three corners and two bytes.
func readMesh(t testing.TB, path string, pose physics.Pose) []triangle {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const head, size = 84, 50
	if len(data) < head || len(data) != head+size*int(binary.LittleEndian.Uint32(data[80:])) {
		t.Fatalf("%s has %d bytes, which is no binary STL", path, len(data))
	}
	mesh := make([]triangle, 0, (len(data)-head)/size)
	for at := head; at < len(data); at += size {
		number := func(i int) float64 {
			return float64(math.Float32frombits(binary.LittleEndian.Uint32(data[at+12+4*i:])))
		}
		var corners triangle
		for k := range corners {
			corners[k] = pose.Apply(vec(number(3*k), number(3*k+1), number(3*k+2)))
		}
		mesh = append(mesh, corners)
	}
	return mesh
}

// readBodies returns the surface of each of the makers' bodies as one point for about each
// square of spacing, by our names of the bodies.
func readBodies(t testing.TB, spacing float64) map[string][]physics.Vec3 {
	t.Helper()
	_, makers, _, assets := readMakers(t)
	points := map[string][]physics.Vec3{}
	for _, b := range makers {
		for _, g := range b.Geoms {
			if g.Class != "visual" {
				continue // the others are the same again
			}
			rest := 0.0 // area that has no point yet
			for _, c := range readMesh(t, filepath.Join(assets, g.Mesh+".stl"), framed(t, g.Pos, g.Quat)) {
				u, v := c[1].Sub(c[0]), c[2].Sub(c[0])
				area := u.Cross(v).Norm() / 2
				n := int((rest + area) / (spacing * spacing))
				rest += area - float64(n)*spacing*spacing
				for i := range n { // spread by a low-discrepancy sequence
					along, across := math.Mod(0.5+0.7548776662*float64(i), 1), math.Mod(0.5+0.5698402910*float64(i), 1)
					if along+across > 1 {
						along, across = 1-along, 1-across
					}
					points[ours(b.Name)] = append(points[ours(b.Name)], c[0].AddScaled(along, u).AddScaled(across, v))
				}
			}
		}
	}
	return points
}

// outside returns how far a point is outside a geom, negative inside, m.
func outside(g physics.Geom, p physics.Vec3) float64 {
	p = (physics.Pose{Pos: g.Pos, Quat: g.Quat.Unit()}).Inverse().Apply(p)
	switch g.Type {
	case physics.Capsule:
		z := math.Max(-g.Size.Z, math.Min(g.Size.Z, p.Z))
		return p.Sub(vec(0, 0, z)).Norm() - g.Size.X
	case physics.Cylinder:
		r, z := math.Hypot(p.X, p.Y)-g.Size.X, math.Abs(p.Z)-g.Size.Z
		return math.Min(0, math.Max(r, z)) + math.Hypot(math.Max(0, r), math.Max(0, z))
	case physics.Box:
		d := vec(math.Abs(p.X)-g.Size.X, math.Abs(p.Y)-g.Size.Y, math.Abs(p.Z)-g.Size.Z)
		return math.Min(0, math.Max(d.X, math.Max(d.Y, d.Z))) + vec(math.Max(0, d.X), math.Max(0, d.Y), math.Max(0, d.Z)).Norm()
	default:
		panic(fmt.Sprint("geom type ", g.Type))
	}
}

// surface returns points on a geom's surface, in its body's frame.
func surface(g physics.Geom) []physics.Vec3 {
	const n = 24
	var points []physics.Vec3
	for i := range n {
		for j := range n {
			u, v := (float64(i)+0.5)/n, (float64(j)+0.5)/n
			sin, cos := math.Sincos(2 * math.Pi * u)
			switch s := g.Size; g.Type {
			case physics.Capsule:
				ring := math.Sqrt(1 - (2*v-1)*(2*v-1))
				points = append(points, vec(s.X*cos, s.X*sin, (2*v-1)*s.Z),
					vec(s.X*ring*cos, s.X*ring*sin, s.X*(2*v-1)+math.Copysign(s.Z, v-0.5)))
			case physics.Cylinder:
				r := s.X * math.Sqrt(v)
				points = append(points, vec(s.X*cos, s.X*sin, (2*v-1)*s.Z), vec(r*cos, r*sin, s.Z), vec(r*cos, r*sin, -s.Z))
			case physics.Box:
				a, b := 2*u-1, 2*v-1
				for _, side := range []float64{-1, 1} {
					points = append(points, vec(side*s.X, a*s.Y, b*s.Z), vec(a*s.X, side*s.Y, b*s.Z), vec(a*s.X, b*s.Y, side*s.Z))
				}
			}
		}
	}
	pose := physics.Pose{Pos: g.Pos, Quat: g.Quat.Unit()}
	for i, p := range points {
		points[i] = pose.Apply(p)
	}
	return points
}

// cloud finds the nearest of many points: it keeps them in cubes of that width, m.
type cloud struct {
	width float64
	cells map[[3]int][]physics.Vec3
}

func newCloud(points []physics.Vec3, width float64) *cloud {
	c := &cloud{width, map[[3]int][]physics.Vec3{}}
	for _, p := range points {
		at := c.cell(p)
		c.cells[at] = append(c.cells[at], p)
	}
	return c
}

func (c *cloud) cell(p physics.Vec3) [3]int {
	return [3]int{int(math.Floor(p.X / c.width)), int(math.Floor(p.Y / c.width)), int(math.Floor(p.Z / c.width))}
}

// nearest returns the distance to the nearest point.
func (c *cloud) nearest(p physics.Vec3) float64 {
	best, at := math.Inf(1), c.cell(p)
	for ring := 0; ring < 30 && best > float64(ring-1)*c.width; ring++ {
		for i := -ring; i <= ring; i++ {
			for j := -ring; j <= ring; j++ {
				for k := -ring; k <= ring; k++ {
					if max(i, -i, j, -j, k, -k) != ring {
						continue
					}
					for _, q := range c.cells[[3]int{at[0] + i, at[1] + j, at[2] + k}] {
						best = math.Min(best, p.Sub(q).Norm())
					}
				}
			}
		}
	}
	return best
}

// spread is the mean and the 95th percentile of distances, mm.
type spread struct{ mean, most float64 }

func summary(distances []float64) spread {
	slices.Sort(distances)
	sum := 0.0
	for _, d := range distances {
		sum += d
	}
	return spread{1000 * sum / float64(len(distances)), 1000 * distances[len(distances)*95/100]}
}

// The makers' surfaces lie within our parts, or near them, and our parts' surfaces near
// theirs: both ways, because a box around everything would satisfy the one and a point
// inside the other.
func TestPartsFitTheMeshes(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 16 MB of meshes")
	}
	want := struct{ mesh, parts spread }{spread{0.6, 3}, spread{2.5, 7}}
	meshes := readBodies(t, 0.0015)
	bodies, _ := armBodies()
	for _, b := range bodies {
		t.Run(b.Name, func(t *testing.T) {
			mesh := meshes[b.Name]
			var geoms []physics.Geom
			for _, p := range armParts() {
				if p.body == b.Name {
					geoms = append(geoms, p.geom)
				}
			}
			union := func(p physics.Vec3, but int) float64 { // how far p is outside all of them but one
				best := math.Inf(1)
				for i, g := range geoms {
					if i != but {
						best = math.Min(best, outside(g, p))
					}
				}
				return best
			}
			low, high := mesh[0], mesh[0]
			var missed, away []float64
			for _, p := range mesh {
				low = vec(math.Min(low.X, p.X), math.Min(low.Y, p.Y), math.Min(low.Z, p.Z))
				high = vec(math.Max(high.X, p.X), math.Max(high.Y, p.Y), math.Max(high.Z, p.Z))
				missed = append(missed, math.Max(0, union(p, -1)))
			}
			near, beyond := newCloud(mesh, 0.003), 0.0
			for i, g := range geoms {
				for _, p := range surface(g) {
					for _, d := range []float64{low.X - p.X, low.Y - p.Y, low.Z - p.Z, p.X - high.X, p.Y - high.Y, p.Z - high.Z} {
						beyond = math.Max(beyond, d)
					}
					if union(p, i) > 0 { // what is inside another part is not to be seen
						away = append(away, near.nearest(p))
					}
				}
			}
			have := struct{ mesh, parts spread }{summary(missed), summary(away)}
			t.Logf("the mesh is outside the parts by %.1f mm, the parts' surface from the mesh's by %.1f mm (mean, 95th percentile); beyond its box by %.1f mm", have.mesh, have.parts, 1000*beyond)
			if have.mesh.mean > want.mesh.mean || have.mesh.most > want.mesh.most || have.parts.mean > want.parts.mean || have.parts.most > want.parts.most {
				t.Errorf("the parts fit by %.1f mm, want %.1f", have, want)
			}
			if beyond > 0.0005 {
				t.Errorf("the parts stick out of the mesh's box by %.1f mm", 1000*beyond)
			}
		})
	}
}

// The rubber on the fingers lies where the makers' fingers end: within 2 mm of their inner
// faces, which have steps of up to 3.6 mm.
func TestPadsLieOnTheFingersFaces(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 16 MB of meshes")
	}
	meshes := readBodies(t, 0.001)
	for body, side := range map[string]float64{"gripper": 1, "moving_jaw": -1} { // where the inner face looks along x
		for _, p := range armParts() {
			if p.body != body || p.paint != rubber {
				continue
			}
			face := p.geom.Pos.X + side*p.geom.Size.X
			sum, n := 0.0, 0.0
			for bin := range 10 { // along the finger, the innermost point of the middle of each part
				inner := math.Inf(-1)
				for _, v := range meshes[body] {
					d := v.Sub(p.geom.Pos)
					along, beside, long := d.Z, d.Y, p.geom.Size.Z
					if body == "moving_jaw" {
						along, beside, long = d.Y, d.Z, p.geom.Size.Y
					}
					if math.Abs(beside) < 0.003 && math.Abs(along-long*(float64(bin)/5-0.9)) < long/10 {
						inner = math.Max(inner, side*v.X)
					}
				}
				if !math.IsInf(inner, 0) {
					sum, n = sum+math.Abs(side*face-inner), n+1
				}
			}
			t.Logf("%s: the pad's face is %.1f mm from the finger's on average", body, 1000*sum/n)
			if n < 8 || sum/n > 0.0025 {
				t.Errorf("%s: the pad's face is %.1f mm from the finger's, by %.0f of 10 places", body, 1000*sum/n, n)
			}
		}
	}
}
