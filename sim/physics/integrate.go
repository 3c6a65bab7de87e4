package physics

// integrate moves the positions by one step at the new velocities: the second half of the
// semi-implicit Euler method.
func (w *World) integrate() {
	h := w.step
	for ti := range w.trees {
		for _, i := range w.trees[ti].bodies {
			b := &w.bodies[i]
			switch b.joint {
			case Hinge, Slide:
				w.Pos[b.pos] += h * w.Vel[b.dof]
			case Free:
				q, v := w.Pos[b.pos:b.pos+7], w.Vel[b.dof:b.dof+6]
				q[0] += h * v[0]
				q[1] += h * v[1]
				q[2] += h * v[2]
				turn := rotation(Vec3{h * v[3], h * v[4], h * v[5]})
				r := Quat{q[3], q[4], q[5], q[6]}.Unit().Mul(turn).Unit()
				q[3], q[4], q[5], q[6] = r.W, r.X, r.Y, r.Z
			}
		}
	}
}
