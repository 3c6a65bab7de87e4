package arm

import (
	"math"

	"govla/sim/physics"
	"govla/sim/render"
)

// The cameras.
const (
	Front = "front" // faces the arm from across the table
	Top   = "top"   // looks down on the table
	Wrist = "wrist" // is mounted on the gripper and sees the fingers
)

// Cameras lists them.
func Cameras() []string { return []string{Front, Top, Wrist} }

// CameraSize is the width and height of the cameras' pictures.
const CameraSize = 96

// mount is a camera fixed to a body, or to the world where that is "".
type mount struct {
	body string
	render.Camera
}

// addCameras places the cameras, each a little beside where it should be.
func (s *scene) addCameras() {
	jitter := func(v render.Vec, by float64) render.Vec {
		return render.Vec{X: v.X + s.between(-by, by), Y: v.Y + s.between(-by, by), Z: v.Z + s.between(-by, by)}
	}
	at := func(body string, eye, target, up render.Vec, view, by float64) mount {
		return mount{body, render.Camera{Pose: render.LookAt(jitter(eye, by), jitter(target, by), up), FieldOfView: view}}
	}
	s.cameras = map[string]mount{
		Front: at("", render.Vec{X: 0.62, Y: 0, Z: 0.36}, render.Vec{X: 0.17, Y: 0, Z: 0.04}, render.Vec{Z: 1}, 0.75, 0.01),
		Top:   at("", render.Vec{X: 0.19, Y: 0, Z: 0.70}, render.Vec{X: 0.19, Y: 0, Z: 0}, render.Vec{X: 1}, 0.72, 0.01),
		Wrist: at("gripper", render.Vec{X: 0.005, Y: -0.06, Z: 0}, render.Vec{X: 0.005, Y: 0.004, Z: -0.10}, render.Vec{X: 1}, 1.2, 0.002),
	}
}

// stage is a scene with the places of its things, ready to be drawn.
type stage struct {
	*scene
	bodies   map[string]int
	poses    func(body int) physics.Pose
	objects  render.Scene
	renderer *render.Renderer
}

func newStage(s *scene, e Engine) (*stage, error) {
	st := &stage{scene: s, bodies: map[string]int{}, poses: e.BodyPose, renderer: render.New()}
	for _, b := range s.model.Bodies {
		i, err := e.Body(b.Name)
		if err != nil {
			return nil, err
		}
		st.bodies[b.Name] = i
	}
	st.objects = render.Scene{Light: s.light, Background: s.background, Objects: make([]render.Object, len(s.visuals))}
	return st, nil
}

// pose returns where a frame of a body is in the world.
func (st *stage) pose(body string, pose physics.Pose) physics.Pose {
	if body == "" {
		return pose
	}
	return st.poses(st.bodies[body]).Mul(pose)
}

func rendered(p physics.Pose) render.Pose {
	return render.Pose{Position: render.Vec(p.Pos), Orientation: render.Quaternion(p.Quat)}
}

// draw draws what the named camera sees.
func (st *stage) draw(f *render.Frame, camera string) error {
	m := st.cameras[camera]
	c := m.Camera
	if m.body != "" {
		c.Pose = rendered(st.poses(st.bodies[m.body])).Compose(c.Pose)
	}
	return st.drawFrom(f, &c)
}

func (st *stage) drawFrom(f *render.Frame, c *render.Camera) error {
	for i, v := range st.visuals {
		o := &st.objects.Objects[i]
		*o = v.Object
		o.Pose = rendered(st.pose(v.body, v.pose))
	}
	return st.renderer.Draw(f, &st.objects, c)
}

// spectator is the camera for people.
func spectator() *render.Camera {
	return &render.Camera{
		Pose:        render.LookAt(render.Vec{X: 0.52, Y: -0.36, Z: 0.34}, render.Vec{X: 0.14, Y: 0.01, Z: 0.07}, render.Vec{Z: 1}),
		FieldOfView: 42 * math.Pi / 180,
	}
}
