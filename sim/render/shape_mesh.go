package render

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Mesh is made of flat triangles, whose corners run counter-clockwise as seen from
// outside. It is not changed once made, and may be shared between objects and renderers.
type Mesh struct {
	triangles []triangle
	nodes     []node // a tree; the first is the root
}

type triangle struct {
	corner, edge1, edge2 Vec
	normal               Vec // of length 1
}

// node is a box around triangles: around count of them from first on, or, where count is
// 0, around the nodes first and first+1.
type node struct {
	low, high    Vec
	first, count int32
}

// NewMesh returns the mesh of the triangles, each three indices of vertices. Triangles
// without an area are left out.
func NewMesh(vertices []Vec, triangles [][3]int) (*Mesh, error) {
	for i, v := range vertices {
		if !v.within(farthest) {
			return nil, fmt.Errorf("mesh: vertex %d is %v, want coordinates of at most 1e6 m", i, v)
		}
	}
	if len(triangles) > math.MaxInt32/4 {
		return nil, fmt.Errorf("mesh: %d triangles are too many", len(triangles))
	}
	m := &Mesh{}
	for i, corners := range triangles {
		for _, corner := range corners {
			if corner < 0 || corner >= len(vertices) {
				return nil, fmt.Errorf("mesh: triangle %d: corner %d is none of the %d vertices", i, corner, len(vertices))
			}
		}
		a := vertices[corners[0]]
		edge1, edge2 := vertices[corners[1]].sub(a), vertices[corners[2]].sub(a)
		if normal := edge1.cross(edge2); normal.length() > 1e-18 {
			m.triangles = append(m.triangles, triangle{a, edge1, edge2, normal.unit()})
		}
	}
	if len(m.triangles) == 0 {
		return nil, errors.New("mesh: no triangle has an area")
	}
	m.nodes = append(m.nodes, node{})
	m.split(0, 0, len(m.triangles))
	return m, nil
}

// smallest is how many triangles a node holds at most.
const smallest = 4

// split makes the node out of the triangles from first to last, halving them at the median
// of their middles along the longest side.
func (m *Mesh) split(at, first, last int) {
	some := m.triangles[first:last]
	low, high := some[0].bounds()
	middleLow, middleHigh := some[0].middle(), some[0].middle()
	for i := range some {
		l, h := some[i].bounds()
		low, high = low.lowest(l), high.highest(h)
		middleLow, middleHigh = middleLow.lowest(some[i].middle()), middleHigh.highest(some[i].middle())
	}
	// Rounding must not let a ray slip past a box that its triangles touch.
	margin := mul(1e-9, 1+high.sub(low).length())
	low, high = low.sub(Vec{margin, margin, margin}), high.add(Vec{margin, margin, margin})
	if len(some) <= smallest {
		m.nodes[at] = node{low, high, int32(first), int32(len(some))}
		return
	}
	size := middleHigh.sub(middleLow)
	coordinate := func(v Vec) float64 { return v.Z }
	if size.X >= size.Y && size.X >= size.Z {
		coordinate = func(v Vec) float64 { return v.X }
	} else if size.Y >= size.Z {
		coordinate = func(v Vec) float64 { return v.Y }
	}
	slices.SortStableFunc(some, func(a, b triangle) int {
		switch x, y := coordinate(a.middle()), coordinate(b.middle()); {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	children := len(m.nodes)
	m.nodes = append(m.nodes, node{}, node{})
	m.nodes[at] = node{low, high, int32(children), 0}
	m.split(children, first, first+len(some)/2)
	m.split(children+1, first+len(some)/2, last)
}

func (t *triangle) bounds() (low, high Vec) {
	b, c := t.corner.add(t.edge1), t.corner.add(t.edge2)
	return t.corner.lowest(b).lowest(c), t.corner.highest(b).highest(c)
}

func (t *triangle) middle() Vec { return t.corner.along(t.edge1.add(t.edge2), 1.0/3) }

func (m *Mesh) check() error {
	if len(m.triangles) == 0 {
		return errors.New("mesh has no triangles; make it with NewMesh")
	}
	return nil
}

func (m *Mesh) bounds() (low, high Vec) { return m.nodes[0].low, m.nodes[0].high }

// enter returns as part the number of the triangle. Only triangles seen from outside
// count.
func (m *Mesh) enter(o, d Vec, near float64) (t float64, part int32) {
	along := newHeading(d)
	return m.trace(o, &along, near, false)
}

func (m *Mesh) normal(_ Vec, part int32) Vec { return m.triangles[part].normal }

func (m *Mesh) flat(int32) bool { return false } // or rarely

func (m *Mesh) blocks(o Vec, d *heading) bool {
	t, _ := m.trace(o, d, skin, true)
	return t < math.Inf(1)
}

// deepest is more than the depth of a tree of 2³¹ triangles halved at each node.
const deepest = 34

// trace returns the least t of at least near at which the ray meets a triangle; where any
// will do, from either side, the first that is found.
func (m *Mesh) trace(o Vec, d *heading, near float64, any bool) (t float64, part int32) {
	t = math.Inf(1)
	var waiting [deepest]int32
	n := 1 // waiting[0] is the root
	for n > 0 {
		n--
		box := &m.nodes[waiting[n]]
		if !box.met(o, d.inverse, near, t) {
			continue
		}
		if box.count == 0 {
			first, second := box.first, box.first+1
			if m.nodes[second].low.sub(m.nodes[first].low).dot(d.Vec) < 0 {
				first, second = second, first
			}
			waiting[n], waiting[n+1] = second, first // the nearer one is taken first
			n += 2
			continue
		}
		for i := box.first; i < box.first+box.count; i++ {
			if at := m.triangles[i].cross(o, d.Vec, any); at >= near && at < t {
				t, part = at, i
				if any {
					return t, part
				}
			}
		}
	}
	return t, part
}

// met reports whether the ray passes the box between near and far.
func (b *node) met(o, inverse Vec, near, far float64) bool {
	x0, x1 := mul(b.low.X-o.X, inverse.X), mul(b.high.X-o.X, inverse.X)
	y0, y1 := mul(b.low.Y-o.Y, inverse.Y), mul(b.high.Y-o.Y, inverse.Y)
	z0, z1 := mul(b.low.Z-o.Z, inverse.Z), mul(b.high.Z-o.Z, inverse.Z)
	in := max(min(x0, x1), min(y0, y1), min(z0, z1), near)
	out := min(max(x0, x1), max(y0, y1), max(z0, z1), far)
	return in <= out
}

// cross returns the t at which the ray meets the triangle, from outside only unless both
// sides count; where it does not, +Inf.
func (t *triangle) cross(o, d Vec, both bool) float64 {
	p := d.cross(t.edge2)
	determinant := t.edge1.dot(p)
	if determinant == 0 || (determinant < 0 && !both) {
		return math.Inf(1)
	}
	inverse := 1 / determinant
	from := o.sub(t.corner)
	u := mul(from.dot(p), inverse)
	q := from.cross(t.edge1)
	v := mul(d.dot(q), inverse)
	if u < 0 || v < 0 || u+v > 1 {
		return math.Inf(1)
	}
	return mul(t.edge2.dot(q), inverse)
}
