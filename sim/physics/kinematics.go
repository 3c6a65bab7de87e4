package physics

// placeStatic computes the poses of what never moves, once.
func (w *World) placeStatic() {
	for i := range w.bodies {
		b := &w.bodies[i]
		if b.weld >= 0 {
			continue
		}
		w.poses[i] = b.local
		if b.parent >= 0 {
			w.poses[i] = w.poses[b.parent].Mul(b.local)
		}
		w.rotation[i] = w.poses[i].Quat.Matrix()
	}
	for i := range w.geoms {
		w.placeGeom(i)
	}
}

// updateKinematics computes from Pos the poses of what moves, the inertias in world axes
// and the motion axes of the joints.
func (w *World) updateKinematics() {
	for ti := range w.trees {
		t := &w.trees[ti]
		for _, i := range t.bodies {
			w.placeBody(i)
		}
		t.center = w.com[t.root]
		for _, i := range t.bodies {
			b := &w.bodies[i]
			var axes Mat3
			axes.product(&w.rotation[i], &b.principalAxes)
			w.inertia[i].setPrincipal(b.mass, w.com[i].Sub(t.center), b.moments, &axes)
			w.placeAxes(i, t.center)
		}
	}
	for _, i := range w.moving {
		w.placeGeom(i)
	}
}

// placeBody computes body i's pose from its parent's and its joint's position. It
// normalises quaternions without writing them back, so that restored positions give the
// same poses to the bit.
func (w *World) placeBody(i int) {
	b := &w.bodies[i]
	pose := b.local
	if b.parent >= 0 {
		pose = w.poses[b.parent].Mul(b.local)
	}
	switch b.joint {
	case Free:
		q := w.Pos[b.pos : b.pos+7]
		pose = Pose{Vec3{q[0], q[1], q[2]}, Quat{q[3], q[4], q[5], q[6]}}
	case Hinge:
		anchor := pose.Apply(b.anchor)
		pose.Quat = pose.Quat.Mul(AxisAngle(b.axis, w.Pos[b.pos]))
		pose.Pos = anchor.Sub(pose.Quat.Rotate(b.anchor))
	case Slide:
		pose.Pos = pose.Pos.Add(pose.Quat.Rotate(b.axis).Scale(w.Pos[b.pos]))
	}
	pose.Quat = pose.Quat.Unit()
	w.poses[i] = pose
	w.rotation[i] = pose.Quat.Matrix()
	w.com[i] = pose.Pos.Add(w.rotation[i].Mul(b.com))
}

// placeAxes computes the motion axes of body i's joint about center.
func (w *World) placeAxes(i int, center Vec3) {
	b, r := &w.bodies[i], &w.rotation[i]
	switch b.joint {
	case Free:
		arm := center.Sub(w.poses[i].Pos)
		axes := w.axes[b.dof : b.dof+6]
		axes[0].linear, axes[1].linear, axes[2].linear = Vec3{X: 1}, Vec3{Y: 1}, Vec3{Z: 1}
		axes[3] = motion{r.X, r.X.Cross(arm)}
		axes[4] = motion{r.Y, r.Y.Cross(arm)}
		axes[5] = motion{r.Z, r.Z.Cross(arm)}
	case Hinge:
		axis := r.Mul(b.axis)
		anchor := w.poses[i].Pos.Add(r.Mul(b.anchor))
		w.axes[b.dof] = motion{axis, axis.Cross(center.Sub(anchor))}
	case Slide:
		w.axes[b.dof] = motion{linear: r.Mul(b.axis)}
	}
}
