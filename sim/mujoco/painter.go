//go:build mujoco && cgo

package mujoco

// #include "guard.h"
import "C"

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"slices"
	"unsafe"

	"govla/sim/render"
)

// frontCamera is the name of the camera that every scene has.
const frontCamera = "front"

// painter draws a simulation's scene as its cameras see it. It is not safe for concurrent
// use.
type painter struct {
	sim      *simulation
	renderer *render.Renderer
	frame    *render.Frame
	scene    render.Scene
	geoms    []int // of the scene's objects, by index
	cameras  []camera
}

// camera is a camera of the scene, or one that stands still where index is negative.
type camera struct {
	name  string
	index int
	view  render.Camera
}

// newPainter returns a painter of the geoms that MuJoCo's viewer shows: those of the groups
// 0 to 2 that are not more transparent than opaque. Height fields and what is no geom
// (sites, tendons, skins) are not drawn.
func newPainter(sim *simulation, width, height int) (*painter, error) {
	p := &painter{sim: sim, renderer: render.New(), frame: render.NewFrame(width, height)}
	c := sim.model()
	meshes := map[int]*render.Mesh{}
	groups := ints(c.geom_group, c.ngeom)
	for i, group := range groups {
		look, opaque := sim.material(i)
		if group > 2 || !opaque {
			continue
		}
		shape, err := sim.shape(i, meshes)
		if err != nil {
			return nil, fmt.Errorf("geom %q: %w", sim.name(C.mjOBJ_GEOM, i), err)
		}
		if shape != nil {
			p.geoms = append(p.geoms, i)
			p.scene.Objects = append(p.scene.Objects, render.Object{Shape: shape, Material: look})
		}
	}
	p.scene.Light = sim.light()
	p.scene.Background = sim.background()
	p.addCameras()
	return p, nil
}

func (p *painter) addCameras() {
	c := p.sim.model()
	near, far := float64(c.vis._map.znear)*float64(c.stat.extent), float64(c.vis._map.zfar)*float64(c.stat.extent)
	front := true
	for i, degrees := range floats(c.cam_fovy, c.ncam) {
		name := p.sim.name(C.mjOBJ_CAMERA, i)
		front = front && name != frontCamera
		p.cameras = append(p.cameras, camera{name, i, render.Camera{FieldOfView: degrees * math.Pi / 180, Near: near, Far: far}})
	}
	if front {
		p.cameras = append(p.cameras, camera{frontCamera, -1, p.frontView()})
	}
}

// frontView looks in the direction in which MuJoCo's viewer begins, from where it sees
// everything but planes, in the present state. (The viewer stands farther away, for it
// takes an endless plane for 4 m long.)
func (p *painter) frontView() render.Camera {
	c, d := p.sim.model(), p.sim.data()
	low, high := [3]float64{math.Inf(1), math.Inf(1), math.Inf(1)}, [3]float64{math.Inf(-1), math.Inf(-1), math.Inf(-1)}
	center, radius := vec(floats(&c.stat.center[0], 3)), float64(c.stat.extent)
	for _, geom := range p.geoms {
		bound := float64(*at(c.geom_rbound, geom)) // 0 of a plane
		for axis, x := range floats(at(d.geom_xpos, 3*geom), 3) {
			if bound > 0 {
				low[axis], high[axis] = min(low[axis], x-bound), max(high[axis], x+bound)
			}
		}
	}
	if low[0] < high[0] {
		half := [3]float64{(high[0] - low[0]) / 2, (high[1] - low[1]) / 2, (high[2] - low[2]) / 2}
		center = render.Vec{X: low[0] + half[0], Y: low[1] + half[1], Z: low[2] + half[2]}
		radius = math.Sqrt(half[0]*half[0] + half[1]*half[1] + half[2]*half[2])
	}
	view := c.vis.global
	fovy := float64(view.fovy) * math.Pi / 180
	azimuth, elevation := float64(view.azimuth)*math.Pi/180, float64(view.elevation)*math.Pi/180
	distance := radius / math.Sin(fovy/2)
	eye := render.Vec{
		X: center.X - distance*math.Cos(elevation)*math.Cos(azimuth),
		Y: center.Y - distance*math.Cos(elevation)*math.Sin(azimuth),
		Z: center.Z - distance*math.Sin(elevation),
	}
	return render.Camera{Pose: render.LookAt(eye, center, render.Vec{Z: 1}), FieldOfView: fovy}
}

// names returns the cameras' names.
func (p *painter) names() []string {
	names := make([]string, len(p.cameras))
	for i, c := range p.cameras {
		names[i] = c.name
	}
	return names
}

// pictures draws what the named cameras see, as of the last step.
func (p *painter) pictures(names []string) (map[string]image.Image, error) {
	c, d := p.sim.model(), p.sim.data()
	pos, mat := floats(d.geom_xpos, 3*c.ngeom), floats(d.geom_xmat, 9*c.ngeom)
	for i, geom := range p.geoms {
		p.scene.Objects[i].Pose = render.Pose{Position: vec(pos[3*geom:]), Orientation: quaternionOf(mat[9*geom : 9*geom+9])}
	}
	pos, mat = floats(d.cam_xpos, 3*c.ncam), floats(d.cam_xmat, 9*c.ncam)
	pictures := make(map[string]image.Image, len(names))
	for _, view := range p.cameras {
		if !slices.Contains(names, view.name) {
			continue
		}
		if i := view.index; i >= 0 {
			// MuJoCo's cameras look along -z, with y up.
			m := slices.Clone(mat[9*i : 9*i+9])
			for row := range 3 {
				m[3*row+1], m[3*row+2] = -m[3*row+1], -m[3*row+2]
			}
			view.view.Pose = render.Pose{Position: vec(pos[3*i:]), Orientation: quaternionOf(m)}
		}
		if err := p.renderer.Draw(p.frame, &p.scene, &view.view); err != nil {
			return nil, fmt.Errorf("camera %q: %w", view.name, err)
		}
		picture := image.NewRGBA(p.frame.Color.Rect)
		copy(picture.Pix, p.frame.Color.Pix)
		pictures[view.name] = picture
	}
	return pictures, nil
}

// shape returns geom i's shape, and nil for one that cannot be drawn.
func (s *simulation) shape(i int, meshes map[int]*render.Mesh) (render.Shape, error) {
	c := s.model()
	size := floats(c.geom_size, 3*c.ngeom)[3*i : 3*i+3]
	switch *at(c.geom_type, i) {
	case C.mjGEOM_PLANE:
		return render.Plane{HalfX: endless(size[0]), HalfY: endless(size[1])}, nil
	case C.mjGEOM_SPHERE:
		return render.Sphere{Radius: size[0]}, nil
	case C.mjGEOM_CAPSULE:
		return render.Capsule{Radius: size[0], HalfLength: size[1]}, nil
	case C.mjGEOM_CYLINDER:
		return render.Cylinder{Radius: size[0], HalfLength: size[1]}, nil
	case C.mjGEOM_BOX:
		return render.Box{Half: vec(size)}, nil
	case C.mjGEOM_ELLIPSOID:
		return ellipsoid(vec(size))
	case C.mjGEOM_MESH:
		id := int(*at(c.geom_dataid, i))
		if meshes[id] == nil {
			mesh, err := s.mesh(id)
			if err != nil {
				return nil, err
			}
			meshes[id] = mesh
		}
		return meshes[id], nil
	}
	return nil, nil
}

func endless(half float64) float64 {
	if half <= 0 {
		return math.Inf(1)
	}
	return half
}

func (s *simulation) mesh(id int) (*render.Mesh, error) {
	c := s.model()
	first, count := *at(c.mesh_vertadr, id), *at(c.mesh_vertnum, id)
	corners := unsafe.Slice((*float32)(unsafe.Pointer(at(c.mesh_vert, 3*int(first)))), 3*int(count))
	vertices := make([]render.Vec, count)
	for i := range vertices {
		vertices[i] = render.Vec{X: float64(corners[3*i]), Y: float64(corners[3*i+1]), Z: float64(corners[3*i+2])}
	}
	first, count = *at(c.mesh_faceadr, id), *at(c.mesh_facenum, id)
	faces := ints(at(c.mesh_face, 3*int(first)), 3*count)
	triangles := make([][3]int, count)
	for i := range triangles {
		triangles[i] = [3]int{int(faces[3*i]), int(faces[3*i+1]), int(faces[3*i+2])}
	}
	mesh, err := render.NewMesh(vertices, triangles)
	if err != nil {
		return nil, fmt.Errorf("mesh %q: %w", s.name(C.mjOBJ_MESH, id), err)
	}
	return mesh, nil
}

// ellipsoid returns the mesh of a sphere that is stretched to three half axes, by 16 rings
// of 32 corners.
func ellipsoid(half render.Vec) (*render.Mesh, error) {
	const rings, sides = 16, 32
	var vertices []render.Vec
	for ring := range rings + 1 {
		for side := range sides {
			polar, azimuth := math.Pi*float64(ring)/rings, 2*math.Pi*float64(side)/sides
			vertices = append(vertices, render.Vec{
				X: half.X * math.Sin(polar) * math.Cos(azimuth),
				Y: half.Y * math.Sin(polar) * math.Sin(azimuth),
				Z: half.Z * math.Cos(polar),
			})
		}
	}
	var triangles [][3]int
	for ring := range rings {
		for side := range sides {
			a, b := ring*sides+side, ring*sides+(side+1)%sides
			triangles = append(triangles, [3]int{a, a + sides, b}, [3]int{b, a + sides, b + sides})
		}
	}
	return render.NewMesh(vertices, triangles)
}

// quaternionOf returns the rotation whose matrix is m, row by row.
func quaternionOf(m []float64) render.Quaternion {
	var q [4]float64
	C.mju_mat2Quat((*C.mjtNum)(&q[0]), (*C.mjtNum)(&m[0]))
	return render.Quaternion{W: q[0], X: q[1], Y: q[2], Z: q[3]}
}

func vec(v []float64) render.Vec { return render.Vec{X: v[0], Y: v[1], Z: v[2]} }

func rgb(r, g, b float64) color.RGBA {
	channel := func(v float64) uint8 { return uint8(math.Round(255 * min(max(v, 0), 1))) }
	return color.RGBA{channel(r), channel(g), channel(b), 255}
}
