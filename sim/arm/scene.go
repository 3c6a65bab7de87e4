package arm

import (
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"

	"govla/sim/physics"
	"govla/sim/render"
)

// Substeps is the number of physics steps in a control step.
const Substeps = 16

// slots is how many things the state describes besides the arm.
const slots = 4

// The slots' names: what the instruction says is to be moved, where to, and two of the
// other things on the table.
var slotNames = [slots]string{"target", "goal", "other_1", "other_2"}

// slot is a frame that the state shows: one of a body's, or a fixed one where Body is "".
type slot struct {
	body string
	pose physics.Pose // in the body's frame
}

// visual is something that a camera sees.
type visual struct {
	body string
	pose physics.Pose // in the body's frame
	render.Object
}

// scene is the world of one episode: all that its task, split and seed decide.
type scene struct {
	model       physics.Model
	slots       [slots]slot
	instruction string

	visuals    []visual
	light      render.Light
	background render.Background
	cameras    map[string]mount

	random   *rand.Rand
	friction float64
	bowl     *render.Revolution
	placed   []place
}

// place is where something stands on the table.
type place struct{ x, y, radius float64 }

// The table in front of the arm that its hand reaches, fingers down: a ring around the
// axis of shoulder_pan, which is panX in front of the base.
const (
	panX                   = 0.0388
	nearReach, farReach    = 0.135, 0.225
	reachAngle             = 0.95 // to both sides, rad
	tableHalfX, tableHalfY = 0.45, 0.5
)

// newScene lays out an episode.
func newScene(task Task, split Split, seed int64) (*scene, error) {
	if err := task.check(); err != nil {
		return nil, err
	}
	if !slices.Contains(Splits(), split) {
		return nil, fmt.Errorf("arm: split %q is not known; choose one of %v", split, Splits())
	}
	s := &scene{random: rand.New(rand.NewPCG(uint64(seed), uint64(task.index())))}
	s.model = physics.Model{TimeStep: 1.0 / (ControlRate * Substeps), Gravity: vec(0, 0, -9.81)}
	s.friction = s.between(0.7, 1.0)
	var err error
	if s.bowl, err = render.NewRevolution(bowlProfile()); err != nil {
		return nil, fmt.Errorf("arm: bowl: %w", err)
	}
	s.addRoom()
	s.addArm()
	for attempt := 0; !task.lay(s, split); attempt++ {
		if attempt == 1000 {
			return nil, fmt.Errorf("arm: task %s, seed %d: there is no room on the table", task, seed)
		}
	}
	s.addCameras()
	return s, nil
}

// Model returns the physics of an episode: what Env simulates.
func Model(task Task, split Split, seed int64) (*physics.Model, error) {
	s, err := newScene(task, split, seed)
	if err != nil {
		return nil, err
	}
	return &s.model, nil
}

// between returns a number that is evenly distributed from low to high.
func (s *scene) between(low, high float64) float64 { return low + (high-low)*s.random.Float64() }

// add adds a body whose geoms are drawn as they are.
func (s *scene) add(b physics.Body, m render.Material) {
	s.model.Bodies = append(s.model.Bodies, b)
	for _, g := range b.Geoms {
		s.draw(b.Name, physics.Pose{Pos: g.Pos, Quat: g.Quat.Unit()}, shapeOf(g), m)
	}
}

// draw adds something to see. All of a body has one number in the segmentation.
func (s *scene) draw(body string, pose physics.Pose, shape render.Shape, m render.Material) {
	id := uint16(1)
	for i, b := range s.model.Bodies {
		if b.Name == body {
			id = uint16(i + 1)
		}
	}
	s.visuals = append(s.visuals, visual{body, pose, render.Object{Shape: shape, Material: m, ID: id}})
}

// shapeOf returns the shape in which a geom is drawn.
func shapeOf(g physics.Geom) render.Shape {
	switch g.Type {
	case physics.Sphere:
		return render.Sphere{Radius: g.Size.X}
	case physics.Capsule:
		return render.Capsule{Radius: g.Size.X, HalfLength: g.Size.Z}
	case physics.Cylinder:
		return render.Cylinder{Radius: g.Size.X, HalfLength: g.Size.Z}
	case physics.Plane:
		return render.Plane{HalfX: tableHalfX, HalfY: tableHalfY}
	default:
		return render.Box{Half: render.Vec(g.Size)}
	}
}

// addRoom adds the table, what is around it, and the light.
func (s *scene) addRoom() {
	top := s.vary(color.RGBA{R: 205, G: 182, B: 155, A: 255}, 14)
	grain := color.RGBA{R: top.R - 30, G: top.G - 32, B: top.B - 32, A: 255}
	table := solid(physics.Geom{Name: "table", Type: physics.Plane}, 0.6)
	s.add(physics.Body{Name: "table", Pos: vec(0.2, 0, 0), Quat: upright(0), Geoms: []physics.Geom{table}},
		render.Material{Color: top, Second: grain, Pattern: render.Wood, Scale: 0.25})
	s.visuals = append(s.visuals, visual{"table", physics.Pose{Pos: vec(0, 0, -0.6), Quat: upright(0)}, render.Object{
		Shape:    render.Plane{HalfX: math.Inf(1), HalfY: math.Inf(1)},
		Material: render.Material{Color: s.vary(color.RGBA{R: 135, G: 138, B: 145, A: 255}, 12)},
	}})
	strength := s.between(0.85, 1.1)
	s.light = render.Light{
		Toward: render.Vec{X: s.between(-0.7, 0.5), Y: s.between(-0.7, 0.7), Z: 1},
		Sun:    render.RGB{R: 0.78 * strength, G: 0.76 * strength, B: 0.72 * strength},
		Sky:    render.Grey(0.38 * strength), Ground: render.Grey(0.18 * strength), Shadows: true,
	}
	s.background = render.Background{Top: color.RGBA{R: 200, G: 212, B: 224, A: 255}, Bottom: color.RGBA{R: 130, G: 134, B: 140, A: 255}}
}

// addArm adds the robot.
func (s *scene) addArm() {
	bodies, servos := armBodies()
	materials := map[paint]render.Material{
		printed: {Color: s.vary(color.RGBA{R: 226, G: 222, B: 214, A: 255}, 10), Shine: 0.1},
		servo:   {Color: color.RGBA{R: 40, G: 40, B: 44, A: 255}, Shine: 0.25},
		rubber:  {Color: color.RGBA{R: 70, G: 72, B: 78, A: 255}},
	}
	for _, b := range bodies {
		var looks []paint
		for _, p := range armParts() {
			if p.body != b.Name {
				continue
			}
			g := p.geom
			g.Quat = g.Quat.Unit()
			g.Friction = physics.Friction{Sliding: plasticFriction}
			if p.paint == rubber {
				g.Friction = physics.Friction{Sliding: rubberFriction, Torsional: 0.005}
			}
			g.Group, g.Mask = armGroup, armGroup|worldGroup
			b.Geoms = append(b.Geoms, g)
			looks = append(looks, p.paint)
		}
		s.model.Bodies = append(s.model.Bodies, b)
		for i, g := range b.Geoms {
			s.draw(b.Name, physics.Pose{Pos: g.Pos, Quat: g.Quat}, shapeOf(g), materials[looks[i]])
		}
	}
	s.model.Servos = servos
}

// room looks for a free place for something of that radius within the arm's reach.
func (s *scene) room(radius, near, far float64) (place, bool) {
	for range 100 {
		r, angle := s.between(near, far), s.between(-reachAngle, reachAngle)
		p := place{panX + r*math.Cos(angle), r * math.Sin(angle), radius}
		if s.free(p) {
			s.placed = append(s.placed, p)
			return p, true
		}
	}
	return place{}, false
}

// free reports whether nothing stands where p is.
func (s *scene) free(p place) bool {
	for _, q := range s.placed {
		if math.Hypot(p.x-q.x, p.y-q.y) < p.radius+q.radius {
			return false
		}
	}
	return true
}
