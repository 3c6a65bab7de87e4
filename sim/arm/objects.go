package arm

import (
	"math"

	"govla/sim/physics"
	"govla/sim/render"
)

const (
	cubeHalf = 0.012 // m
	cubeMass = 0.02  // kg

	bowlRim    = 0.046 // radius at the rim, m
	bowlFloor  = 0.028 // radius of the floor, m
	bowlHeight = 0.030
	bowlWall   = 0.003

	zoneRadius = 0.035

	drawerTravel  = 0.07
	knobHeight    = 0.034                // of a drawer's knob above the table, m
	knobOut       = cabinetDepth + 0.024 // of it from the cabinet's middle
	cabinetDepth  = 0.045                // half of it
	knobHalfWidth = 0.010
)

// solid is a geom of an object, which collides with everything.
func solid(g physics.Geom, friction float64) physics.Geom {
	g.Friction = physics.Friction{Sliding: friction, Torsional: 0.003}
	g.Group, g.Mask = worldGroup, armGroup|worldGroup
	return g
}

func box(pos, half physics.Vec3) physics.Geom {
	return physics.Geom{Type: physics.Box, Pos: pos, Size: half}
}

func upright(yaw float64) physics.Quat { return physics.AxisAngle(vec(0, 0, 1), yaw) }

// addCube puts a cube on the table.
func (s *scene) addCube(name string, colour Colour, x, y, yaw float64) {
	half := vec(cubeHalf, cubeHalf, cubeHalf)
	g := solid(box(physics.Vec3{}, half), s.friction)
	g.Name = name
	s.add(physics.Body{
		Name: name, Pos: vec(x, y, cubeHalf), Quat: upright(yaw), Mass: cubeMass, Inertia: physics.BoxInertia(cubeMass, half),
		Joint: physics.Joint{Name: name, Type: physics.Free}, Geoms: []physics.Geom{g},
	}, s.material(colour))
}

// bowlProfile is the line of a bowl, from its floor up along the inside and down again.
func bowlProfile() []render.ProfilePoint {
	return []render.ProfilePoint{
		{Radius: 0, Height: bowlWall}, {Radius: bowlFloor - bowlWall/2, Height: bowlWall}, {Radius: bowlRim - bowlWall/2, Height: bowlHeight},
		{Radius: bowlRim + bowlWall/2, Height: bowlHeight}, {Radius: bowlFloor + bowlWall/2, Height: 0}, {Radius: 0, Height: 0},
	}
}

// addBowl puts a bowl on the table. It collides as a floor and a ring of boxes.
func (s *scene) addBowl(name string, colour Colour, x, y float64) {
	const sides, mass = 12, 0.12
	b := physics.Body{
		Name: name, Pos: vec(x, y, 0), Quat: upright(0), Mass: mass, COM: vec(0, 0, 0.01),
		Inertia: physics.CylinderInertia(mass, 0.04, 0.012),
		Joint:   physics.Joint{Name: name, Type: physics.Free},
	}
	b.Geoms = append(b.Geoms, solid(physics.Geom{
		Name: name, Type: physics.Box, Pos: vec(0, 0, bowlWall/2), Size: vec(0.84*bowlFloor, 0.84*bowlFloor, bowlWall/2),
	}, s.friction))
	slope := math.Atan2(bowlRim-bowlFloor, bowlHeight)
	length := math.Hypot(bowlRim-bowlFloor, bowlHeight)
	middle := (bowlRim + bowlFloor) / 2
	for i := range sides {
		angle := 2 * math.Pi * float64(i) / sides
		q := upright(angle).Mul(physics.AxisAngle(vec(0, 1, 0), slope))
		b.Geoms = append(b.Geoms, solid(physics.Geom{
			Type: physics.Box, Pos: vec(middle*math.Cos(angle), middle*math.Sin(angle), bowlHeight/2+bowlWall/2), Quat: q,
			Size: vec(bowlWall/2, middle*math.Tan(math.Pi/sides), length/2),
		}, s.friction))
	}
	s.model.Bodies = append(s.model.Bodies, b)
	s.draw(name, physics.Pose{Quat: upright(0)}, s.bowl, s.material(colour))
}

// addZone paints a disc on the table.
func (s *scene) addZone(name string, colour Colour, x, y float64) {
	const thickness = 0.0004
	s.add(physics.Body{
		Name: name, Pos: vec(x, y, 0), Quat: upright(0),
		Geoms: []physics.Geom{{Name: name, Type: physics.Cylinder, Pos: vec(0, 0, thickness/2), Size: vec(zoneRadius, 0, thickness/2)}},
	}, s.material(colour))
}

// addCabinet puts a cabinet with a drawer on the table, which opens along -x of its frame.
// The drawer's knob is as wide as a cube, so that it can be gripped like one.
func (s *scene) addCabinet(name string, colour Colour, x, y, yaw float64) {
	const (
		halfWidth, height, wall = 0.04, 0.056, 0.003
		inside                  = halfWidth - 2*wall
		mass                    = 0.08
	)
	shell := physics.Body{Name: name + "_cabinet", Pos: vec(x, y, 0), Quat: upright(yaw)}
	for _, g := range []physics.Geom{
		box(vec(0, 0, height-wall/2), vec(cabinetDepth, halfWidth, wall/2)),
		box(vec(0, halfWidth-wall/2, height/2), vec(cabinetDepth, wall/2, height/2)),
		box(vec(0, wall/2-halfWidth, height/2), vec(cabinetDepth, wall/2, height/2)),
		box(vec(cabinetDepth-wall/2, 0, height/2), vec(wall/2, halfWidth, height/2)),
	} {
		shell.Geoms = append(shell.Geoms, solid(g, s.friction))
	}
	look := s.material(colour)
	s.add(shell, look)
	drawer := physics.Body{
		Name: name, Parent: shell.Name, Quat: upright(0),
		Mass: mass, COM: vec(0, 0, 0.02), Inertia: physics.BoxInertia(mass, vec(cabinetDepth, inside, 0.02)),
		Joint: physics.Joint{
			Name: name, Type: physics.Slide, Axis: vec(-1, 0, 0), Range: [2]float64{0, drawerTravel}, Damping: 1, FrictionLoss: 0.2,
		},
	}
	front := -cabinetDepth + wall/2
	for _, g := range []physics.Geom{
		box(vec(front, 0, 0.027), vec(wall/2, inside, 0.022)),
		box(vec(0, 0, 0.006), vec(cabinetDepth-2*wall, inside, wall/2)),
		box(vec(0, inside-wall/2, 0.02), vec(cabinetDepth-2*wall, wall/2, 0.014)),
		box(vec(0, wall/2-inside, 0.02), vec(cabinetDepth-2*wall, wall/2, 0.014)),
		box(vec((-knobOut-cabinetDepth)/2, 0, knobHeight-0.006), vec((knobOut-cabinetDepth)/2, 0.004, 0.004)),
		box(vec(-knobOut, 0, knobHeight), vec(0.008, knobHalfWidth, 0.012)),
	} {
		drawer.Geoms = append(drawer.Geoms, solid(g, s.friction))
	}
	s.add(drawer, look)
}
