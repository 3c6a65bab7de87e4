package mujoco_test

import (
	"fmt"
	"os"

	"govla/sim/mujoco"
	"govla/sim/physics"
)

// A ball on a lever that a servo holds up.
func ExampleWriteMJCF() {
	model := physics.Model{
		Gravity: physics.Vec3{Z: -9.81},
		Bodies: []physics.Body{
			{Name: "post", Pos: physics.Vec3{Z: 0.5}},
			{
				Name: "lever", Parent: "post", Mass: 0.2, COM: physics.Vec3{X: 0.3}, Inertia: physics.Inertia{XX: 2e-4, YY: 2e-4, ZZ: 2e-4},
				Joint: physics.Joint{
					Name: "hinge", Type: physics.Hinge, Axis: physics.Vec3{Y: 1}, Range: [2]float64{-1.5, 1.5},
					Damping: 0.1, Armature: 0.01, FrictionLoss: 0.02, Start: 0.25,
				},
				Geoms: []physics.Geom{{
					Name: "ball", Type: physics.Sphere, Size: physics.Vec3{X: 0.05}, Pos: physics.Vec3{X: 0.3},
					Friction: physics.Friction{Sliding: 0.8}, Group: 1, Mask: 1,
				}},
			},
		},
		Servos: []physics.Servo{{Name: "motor", Joint: "hinge", KP: 20, KV: 0.5, ForceRange: [2]float64{-2, 2}}},
	}
	if err := mujoco.WriteMJCF(os.Stdout, &model); err != nil {
		fmt.Println(err)
	}
	// Output:
	// <mujoco>
	//   <compiler angle="radian" inertiafromgeom="false" boundmass="1e-14" boundinertia="1e-14"></compiler>
	//   <option timestep="0.002" gravity="0 0 -9.81" cone="elliptic" impratio="10"></option>
	//   <size nconmax="200" njmax="1000"></size>
	//   <default>
	//     <geom solref="0.004 1" solimp="0.95 0.99 0.001"></geom>
	//     <joint solreflimit="0.004 1" solimplimit="0.95 0.99 0.001" solreffriction="0.004 1" solimpfriction="0.99 0.9999 0.001"></joint>
	//   </default>
	//   <worldbody>
	//     <body name="post" pos="0 0 0.5">
	//       <body name="lever" pos="0 0 0">
	//         <inertial pos="0.3 0 0" mass="0.2" diaginertia="0.0002 0.0002 0.0002"></inertial>
	//         <joint name="hinge" type="hinge" pos="0 0 0" axis="0 1 0" limited="true" range="-1.5 1.5" damping="0.1" armature="0.01" frictionloss="0.02"></joint>
	//         <geom name="ball" type="sphere" pos="0.3 0 0" size="0.05" friction="0.8 0 0" condim="3" contype="1" conaffinity="1"></geom>
	//       </body>
	//     </body>
	//   </worldbody>
	//   <contact>
	//     <exclude body1="post" body2="lever"></exclude>
	//   </contact>
	//   <actuator>
	//     <general name="motor" joint="hinge" gaintype="fixed" biastype="affine" gainprm="20" biasprm="0 -20 -0.5" ctrllimited="false" forcelimited="true" forcerange="-2 2"></general>
	//   </actuator>
	//   <keyframe>
	//     <key name="start" qpos="0.25" ctrl="0.25"></key>
	//   </keyframe>
	// </mujoco>
}
