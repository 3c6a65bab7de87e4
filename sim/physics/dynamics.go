package physics

// updateMass computes the joint-space inertia of every tree by the composite-rigid-body
// algorithm (Featherstone, table 6.2) and factorises it together with the joints' damping.
func (w *World) updateMass() {
	for ti := range w.trees {
		t := &w.trees[ti]
		if t.diagonal {
			w.diagonalMass(t)
			continue
		}
		for _, i := range t.bodies {
			w.composite[i] = w.inertia[i]
		}
		for k := len(t.bodies) - 1; k > 0; k-- {
			i := t.bodies[k]
			if parent := w.bodies[i].parent; parent >= 0 && w.bodies[parent].tree == ti {
				w.composite[parent].add(&w.composite[i])
			}
		}
		for _, i := range t.bodies {
			b := &w.bodies[i]
			for d := b.dof + b.joint.dofs() - 1; d >= b.dof; d-- {
				momentum := w.composite[i].apply(&w.axes[d])
				row := t.mass[(d-t.dof)*t.n:]
				for e := d; e >= 0; e = w.dofs[e].parent {
					row[e-t.dof] = w.axes[e].power(&momentum)
				}
				row[d-t.dof] += w.dofs[d].armature
			}
		}
		w.factorise(t)
	}
}

// diagonalMass is updateMass for a free body whose inertia is diagonal.
func (w *World) diagonalMass(t *tree) {
	b := &w.bodies[t.root]
	moments := [6]float64{b.mass, b.mass, b.mass, b.moments.X, b.moments.Y, b.moments.Z}
	damping := w.step * w.dofs[t.dof].damping
	for i, m := range moments {
		t.mass[7*i] = m
		t.factor[7*i] = m + damping
		t.inverse[i] = 1 / (m + damping)
	}
}

// dofs returns how many velocities a joint has.
func (j JointType) dofs() int {
	switch j {
	case Free:
		return 6
	case Hinge, Slide:
		return 1
	}
	return 0
}

// factorise computes L and D of M + step·damping = L'DL, which fills in no zero of M
// (Featherstone, table 6.3).
func (w *World) factorise(t *tree) {
	h, n := t.factor, t.n
	copy(h, t.mass)
	for i := range n {
		h[i*n+i] += w.step * w.dofs[t.dof+i].damping
	}
	for k := n - 1; k >= 0; k-- {
		row := h[k*n : k*n+n]
		t.inverse[k] = 1 / row[k]
		for i := w.dofs[t.dof+k].parent - t.dof; i >= 0; i = w.dofs[t.dof+i].parent - t.dof {
			a := row[i] * t.inverse[k]
			for j := i; j >= 0; j = w.dofs[t.dof+j].parent - t.dof {
				h[i*n+j] -= a * row[j]
			}
			row[i] = a
		}
	}
}

// solve replaces x, of the tree's dofs, by the solution of (M + step·damping)·y = x.
func (t *tree) solve(x []float64) {
	n := t.n
	x = x[:n]
	if t.diagonal {
		for i, inverse := range t.inverse {
			x[i] *= inverse
		}
		return
	}
	// Elements of L where M has a zero are zero: dofs of different branches.
	for i := n - 1; i >= 0; i-- {
		if xi := x[i]; xi != 0 {
			for j, l := range t.factor[i*n : i*n+i] {
				x[j] -= l * xi
			}
		}
	}
	for i, inverse := range t.inverse {
		x[i] *= inverse
	}
	for i := range n {
		xi := x[i]
		for j, l := range t.factor[i*n : i*n+i] {
			xi -= l * x[j]
		}
		x[i] = xi
	}
}

// accelerate computes smooth, the accelerations that every force but the constraints'
// gives. updateMass comes before it.
//
// A semi-implicit step holds a velocity for the time between two positions, so the
// velocity at a position is the mean of those before and after the step. Velocity-
// dependent inertial forces are taken at that mean, by a prediction and a correction: at
// the old velocity alone they would give energy to whatever turns fast.
func (w *World) accelerate() {
	external := w.external
	for d := range external {
		external[d] = w.Applied[d] - w.dofs[d].damping*w.Vel[d]
	}
	for i := range w.servos {
		external[w.servos[i].dof] += w.ServoForce(i)
	}
	copy(w.middle, w.Vel)
	for ti := range w.trees {
		t := &w.trees[ti]
		if t.lone {
			w.spin(t)
			continue
		}
		w.respond(ti)
		for d := t.dof; d < t.dof+t.n; d++ {
			w.middle[d] += w.step / 2 * w.smooth[d]
		}
		w.respond(ti)
	}
}

// respond computes a tree's smooth accelerations with the inertial forces of the
// velocities middle.
func (w *World) respond(ti int) {
	t := &w.trees[ti]
	w.inverseDynamics(ti, w.middle, nil, w.smooth)
	for d := t.dof; d < t.dof+t.n; d++ {
		w.smooth[d] = w.external[d] - w.smooth[d]
	}
	t.solve(w.smooth[t.dof : t.dof+t.n])
}

// spin computes the accelerations of a free body whose frame is at its centre of mass, so
// that its turning conserves angular momentum: seen from the middle of the step before and
// from that of this step, the momentum Iω is the same. The new ω' obeys
// Iω' = exp(-step/2·ω')·exp(-step/2·ω)·Iω, which is reversible in time, and so keeps the
// energy too.
func (w *World) spin(t *tree) {
	b := &w.bodies[t.root]
	forces := w.external[t.dof : t.dof+6]
	forces[0] += b.mass * w.gravity.X
	forces[1] += b.mass * w.gravity.Y
	forces[2] += b.mass * w.gravity.Z
	if m := b.moments; m.X != m.Y || m.Y != m.Z {
		axes := &b.principalAxes
		omega := axes.MulT(Vec3{w.Vel[t.dof+3], w.Vel[t.dof+4], w.Vel[t.dof+5]})
		momentum := scaled(m, omega)
		middle := rotation(omega.Scale(-w.step / 2)).Rotate(momentum)
		next, inverse := omega, Vec3{1 / m.X, 1 / m.Y, 1 / m.Z}
		for range 6 { // a fixed point, approached by a factor of about step·|ω|/2 a round
			next = scaled(inverse, rotation(next.Scale(-w.step/2)).Rotate(middle))
		}
		torque := axes.Mul(scaled(m, next).Sub(momentum).Scale(1 / w.step))
		forces[3] += torque.X
		forces[4] += torque.Y
		forces[5] += torque.Z
	}
	copy(w.smooth[t.dof:], forces)
	t.solve(w.smooth[t.dof : t.dof+6])
}

// scaled returns the product of v and u element by element.
func scaled(v, u Vec3) Vec3 { return Vec3{v.X * u.X, v.Y * u.Y, v.Z * u.Z} }

// ServoForce returns the force that servo i applies in the present state, in N or N·m.
func (w *World) ServoForce(i int) float64 {
	s := &w.servos[i]
	target := min(max(w.Ctrl[i], s.ctrl[0]), s.ctrl[1])
	return min(max(s.kp*(target-w.Pos[s.pos])-s.kv*w.Vel[s.dof], s.force[0]), s.force[1])
}

// InverseDynamics writes to forces the generalised forces that give the accelerations
// acc, [dofs] in m/s² or rad/s² of Vel, in the present state, against gravity and without
// damping, servos and contacts. Nil stands for no acceleration: the bias forces.
func (w *World) InverseDynamics(acc, forces []float64) {
	for ti := range w.trees {
		w.inverseDynamics(ti, w.Vel, acc, forces)
	}
	for d := range acc {
		forces[d] += w.dofs[d].armature * acc[d]
	}
}

// inverseDynamics is the recursive Newton-Euler algorithm (Featherstone, table 5.1) on
// one tree at the velocities vel, with all vectors about the tree's reference point and
// without armature.
func (w *World) inverseDynamics(ti int, vel, acc, forces []float64) {
	t := &w.trees[ti]
	for _, i := range t.bodies {
		b := &w.bodies[i]
		v, a := &w.velocity[i], &w.acceleration[i]
		*v, *a = motion{}, motion{linear: w.gravity.Scale(-1)}
		if b.parent >= 0 && w.bodies[b.parent].tree == ti {
			*v, *a = w.velocity[b.parent], w.acceleration[b.parent]
		}
		w.addJointMotion(b, v, a, vel, acc)

		f := &w.wrench[i]
		momentum := w.inertia[i].apply(v)
		*f = w.inertia[i].apply(a)
		gyroscopic := v.crossForce(&momentum)
		f.add(&gyroscopic)
	}
	for k := len(t.bodies) - 1; k >= 0; k-- {
		i := t.bodies[k]
		b := &w.bodies[i]
		for d := b.dof; d < b.dof+b.joint.dofs(); d++ {
			forces[d] = w.axes[d].power(&w.wrench[i])
		}
		if b.parent >= 0 && w.bodies[b.parent].tree == ti {
			w.wrench[b.parent].add(&w.wrench[i])
		}
	}
}

// addJointMotion adds to a body's velocity v and acceleration a, which its parent's are,
// what its joint contributes.
func (w *World) addJointMotion(b *body, v, a *motion, vel, acc []float64) {
	count := b.joint.dofs()
	first := b.dof
	if b.joint == Free {
		// Its linear axes stand still in the world; the angular ones, which turn with the
		// body, are taken at its full velocity.
		v.linear = v.linear.Add(Vec3{vel[first], vel[first+1], vel[first+2]})
		var spin motion
		for d := first + 3; d < first+6; d++ {
			spin.addScaled(vel[d], &w.axes[d])
		}
		v.addScaled(1, &spin)
		rate := v.cross(&spin)
		a.addScaled(1, &rate)
	} else if count == 1 {
		var relative motion
		relative.addScaled(vel[first], &w.axes[first])
		rate := v.cross(&relative)
		a.addScaled(1, &rate)
		v.addScaled(1, &relative)
	}
	if acc != nil {
		for d := first; d < first+count; d++ {
			a.addScaled(acc[d], &w.axes[d])
		}
	}
}

// MassMatrix writes the joint-space inertia of the present state to dst, [dofs][dofs].
func (w *World) MassMatrix(dst []float64) {
	w.updateMass()
	n := len(w.dofs)
	clear(dst[:n*n])
	for ti := range w.trees {
		t := &w.trees[ti]
		for i := range t.n {
			for j := 0; j <= i; j++ {
				m := t.mass[i*t.n+j]
				dst[(t.dof+i)*n+t.dof+j], dst[(t.dof+j)*n+t.dof+i] = m, m
			}
		}
	}
}

// Energy returns the kinetic energy, with the joints' armature, and the potential energy
// in the field of gravity, zero at the world's origin; in J.
func (w *World) Energy() (kinetic, potential float64) {
	for i := range w.bodies {
		b := &w.bodies[i]
		if b.tree < 0 {
			continue
		}
		var v motion
		for d := b.lastDof; d >= 0; d = w.dofs[d].parent {
			v.addScaled(w.Vel[d], &w.axes[d])
		}
		momentum := w.inertia[i].apply(&v)
		kinetic += v.power(&momentum) / 2
		potential -= b.mass * w.gravity.Dot(w.com[i])
	}
	for d, v := range w.Vel {
		kinetic += w.dofs[d].armature * v * v / 2
	}
	return kinetic, potential
}
