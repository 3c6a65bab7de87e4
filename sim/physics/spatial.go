package physics

// Spatial vectors in Plücker coordinates (Featherstone, chapter 2). All quantities of a
// tree of bodies are taken in world axes about one point that the tree's bodies share, so
// that they add up without transformations.

// motion is a spatial velocity or acceleration.
type motion struct{ angular, linear Vec3 }

// force is a spatial force: moment about the reference point, and force.
type force struct{ moment, force Vec3 }

func (m *motion) addScaled(s float64, u *motion) {
	m.angular = m.angular.AddScaled(s, u.angular)
	m.linear = m.linear.AddScaled(s, u.linear)
}

func (f *force) add(u *force) {
	f.moment = f.moment.Add(u.moment)
	f.force = f.force.Add(u.force)
}

// power returns the scalar product of a motion and a force.
func (m *motion) power(f *force) float64 {
	return m.angular.Dot(f.moment) + m.linear.Dot(f.force)
}

// cross returns the rate of change of u that comes from moving with velocity m
// (eq. 2.33).
func (m *motion) cross(u *motion) motion {
	return motion{
		m.angular.Cross(u.angular),
		m.angular.Cross(u.linear).Add(m.linear.Cross(u.angular)),
	}
}

// crossForce is cross for forces (eq. 2.34).
func (m *motion) crossForce(f *force) force {
	return force{
		m.angular.Cross(f.moment).Add(m.linear.Cross(f.force)),
		m.angular.Cross(f.force),
	}
}

// spatialInertia is a rigid body's inertia about the reference point (eq. 2.63).
type spatialInertia struct {
	mass   float64
	first  Vec3    // mass times the centre of mass
	second Inertia // about the reference point
}

func (i *spatialInertia) add(j *spatialInertia) {
	i.mass += j.mass
	i.first = i.first.Add(j.first)
	i.second.XX += j.second.XX
	i.second.YY += j.second.YY
	i.second.ZZ += j.second.ZZ
	i.second.XY += j.second.XY
	i.second.XZ += j.second.XZ
	i.second.YZ += j.second.YZ
}

// apply returns the momentum of a body that moves with velocity m.
func (i *spatialInertia) apply(m *motion) force {
	return force{
		i.second.Mul(m.angular).Add(i.first.Cross(m.linear)),
		m.linear.Scale(i.mass).Sub(i.first.Cross(m.angular)),
	}
}

// setPrincipal makes i the inertia of a body of the given mass with its centre of mass at
// c from the reference point, and principal moments about the columns of axes.
func (i *spatialInertia) setPrincipal(mass float64, c, moments Vec3, axes *Mat3) {
	x, y, z := axes.X, axes.Y, axes.Z
	cc := c.Dot(c)
	i.mass = mass
	i.first = c.Scale(mass)
	i.second = Inertia{
		XX: moments.X*x.X*x.X + moments.Y*y.X*y.X + moments.Z*z.X*z.X + mass*(cc-c.X*c.X),
		YY: moments.X*x.Y*x.Y + moments.Y*y.Y*y.Y + moments.Z*z.Y*z.Y + mass*(cc-c.Y*c.Y),
		ZZ: moments.X*x.Z*x.Z + moments.Y*y.Z*y.Z + moments.Z*z.Z*z.Z + mass*(cc-c.Z*c.Z),
		XY: moments.X*x.X*x.Y + moments.Y*y.X*y.Y + moments.Z*z.X*z.Y - mass*c.X*c.Y,
		XZ: moments.X*x.X*x.Z + moments.Y*y.X*y.Z + moments.Z*z.X*z.Z - mass*c.X*c.Z,
		YZ: moments.X*x.Y*x.Z + moments.Y*y.Y*y.Z + moments.Z*z.Y*z.Z - mass*c.Y*c.Z,
	}
}
