package physics

// Model describes a scene. It is plain data: Compile checks it and makes a World of it.
type Model struct {
	TimeStep float64 // s; 0 means 0.002
	Gravity  Vec3    // m/s², usually {Z: -9.81}

	Bodies []Body  // parents before their children
	Servos []Servo // in the order of World.Ctrl

	// Exclude names pairs of bodies that do not collide, besides those that are welded
	// together and those of which one is the other's parent.
	Exclude [][2]string
}

// Body is a rigid body, or a part that is welded to its parent.
type Body struct {
	Name   string
	Parent string // name of an earlier body, or "" for the world
	Pos    Vec3   // of the body's frame in the parent's where the joint is at 0, m
	Quat   Quat

	Mass    float64 // kg; 0 is allowed for what does not move and where a descendant has mass
	COM     Vec3    // centre of mass in the body's frame, m
	Inertia Inertia // about the centre of mass, in the body's axes

	Joint Joint
	Geoms []Geom
	Sites []Site
}

// JointType is how a body moves in its parent's frame.
type JointType int

const (
	// Fixed welds the body to its parent.
	Fixed JointType = iota
	// Free lets the body move anywhere. Its 7 positions are the frame's origin and its
	// quaternion in the world, its 6 velocities the origin's velocity in world axes and
	// the angular velocity in the body's own. Only a child of the world can be free.
	Free
	// Hinge turns the body about Axis through Anchor, by an angle in radians.
	Hinge
	// Slide moves the body along Axis, in m.
	Slide
)

// Joint connects a body with its parent. Free bodies use Type, Name and Damping only.
type Joint struct {
	Name   string
	Type   JointType
	Anchor Vec3 // a point of the axis in the body's frame, m
	Axis   Vec3 // in the body's frame; need not have unit length

	Range        [2]float64 // limits in rad or m; none where both are 0
	Damping      float64    // N·m·s/rad or N·s/m
	Armature     float64    // the drive's inertia as the joint feels it, kg·m² or kg
	FrictionLoss float64    // dry friction in the joint, N·m or N
	Start        float64    // the position that Reset gives it
}

// GeomType is the form of a Geom.
type GeomType int

const (
	// Sphere has radius Size.X.
	Sphere GeomType = iota
	// Capsule has radius Size.X around a line along z of half length Size.Z.
	Capsule
	// Cylinder has radius Size.X and half length Size.Z along z.
	Cylinder
	// Box has half edges Size.
	Box
	// Plane is everything below z = 0; it has no size, and only a body that does not move
	// can have one.
	Plane
)

// Geom is a form fixed to a body that collides and can be drawn.
type Geom struct {
	Name   string
	Type   GeomType
	Pos    Vec3 // in the body's frame, m
	Quat   Quat
	Size   Vec3 // m; see GeomType. Size.Y counts for boxes only
	Colour int  // for a renderer; means nothing here

	Friction Friction

	// Two geoms collide if one's Group has a bit of the other's Mask (MuJoCo's contype
	// and conaffinity). Both 0 make a geom that is only seen.
	Group, Mask uint32
}

// Friction holds the Coulomb coefficients of a surface. Two surfaces in contact have the
// greater one of each.
type Friction struct {
	Sliding   float64 // tangential force over normal force
	Torsional float64 // moment about the normal over normal force, m
	Rolling   float64 // moment about a tangent over normal force, m
}

// Site is a named frame fixed to a body.
type Site struct {
	Name string
	Pos  Vec3
	Quat Quat
}

// Servo drives a hinge or a slide towards the position in World.Ctrl with the force
// KP·(ctrl - position) - KV·velocity, in N·m or N.
type Servo struct {
	Name       string
	Joint      string
	KP, KV     float64
	ForceRange [2]float64 // unlimited where both are 0
	CtrlRange  [2]float64 // the command is clamped to it; unlimited where both are 0
}
