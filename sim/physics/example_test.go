package physics_test

import (
	"fmt"

	"govla/sim/physics"
)

// A cube is dropped on a table from a hand's breadth and comes to rest on it.
func Example() {
	half := physics.Vec3{X: 0.015, Y: 0.015, Z: 0.015}
	friction := physics.Friction{Sliding: 0.8, Torsional: 0.005}
	model := physics.Model{
		Gravity: physics.Vec3{Z: -9.81},
		Bodies: []physics.Body{
			{Name: "table", Geoms: []physics.Geom{{Type: physics.Plane, Friction: friction, Group: 1, Mask: 1}}},
			{
				Name: "cube", Pos: physics.Vec3{Z: 0.1}, Mass: 0.03, Inertia: physics.BoxInertia(0.03, half),
				Joint: physics.Joint{Name: "cube", Type: physics.Free},
				Geoms: []physics.Geom{{Type: physics.Box, Size: half, Friction: friction, Group: 1, Mask: 1}},
			},
		},
	}
	world, err := model.Compile()
	if err != nil {
		fmt.Println(err)
		return
	}
	for world.Time < 1 {
		if err := world.Step(); err != nil {
			fmt.Println(err)
			return
		}
	}
	cube, err := world.Body("cube")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("the cube's centre is %.1f mm above the table\n", 1000*world.BodyPose(cube).Pos.Z)
	// Output: the cube's centre is 15.0 mm above the table
}
