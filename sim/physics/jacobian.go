package physics

// Jacobian writes to dst, [6][dofs], how the velocity of the point of body i that is now
// at pos in the world depends on Vel: rows 0 to 2 are its linear velocity, rows 3 to 5 the
// body's angular velocity, both in world axes.
func (w *World) Jacobian(i int, pos Vec3, dst []float64) {
	n := len(w.dofs)
	clear(dst[:6*n])
	b := &w.bodies[i]
	if b.tree < 0 {
		return
	}
	arm := pos.Sub(w.trees[b.tree].center)
	for d := b.lastDof; d >= 0; d = w.dofs[d].parent {
		angular := w.axes[d].angular
		linear := w.axes[d].linear.Add(angular.Cross(arm))
		for k := range 3 {
			dst[k*n+d] = element(linear, k)
			dst[(3+k)*n+d] = element(angular, k)
		}
	}
}
