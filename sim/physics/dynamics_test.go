package physics

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/mat"
	"pgregory.net/rapid"
)

// pendulum hangs from a hinge along y, its centre of mass a distance below.
func pendulum(mass, distance, start float64) Model {
	return Model{Gravity: earth, Bodies: []Body{{
		Name: "rod", Mass: mass, COM: Vec3{Z: -distance}, Inertia: CapsuleInertia(mass, 0.01, distance),
		Joint: Joint{Name: "hinge", Type: Hinge, Axis: Vec3{Y: 1}, Start: start},
	}}}
}

// The period of a pendulum is 2π/ω over the arithmetic-geometric mean of 1 and
// cos(amplitude/2): the complete elliptic integral by Gauss's method.
func TestPendulumPeriodAndEnergy(t *testing.T) {
	for _, amplitude := range []float64{0.1, 1, 2.5} {
		const mass, distance = 0.3, 0.2
		m := pendulum(mass, distance, amplitude)
		w := compile(t, m)
		a, g := 1.0, math.Cos(amplitude/2)
		for range 20 {
			a, g = (a+g)/2, math.Sqrt(a*g)
		}
		inertia := CapsuleInertia(mass, 0.01, distance).XX + mass*distance*distance
		want := 2 * math.Pi * math.Sqrt(inertia/(mass*9.81*distance)) / a

		kinetic, potential := w.Energy()
		start, swing := kinetic+potential, 2*mass*9.81*distance
		var crossings []float64
		worst := 0.0
		for w.Time < 10 {
			before := w.Pos[0]
			run(t, w, w.TimeStep())
			if before > 0 && w.Pos[0] <= 0 {
				share := before / (before - w.Pos[0])
				crossings = append(crossings, w.Time-w.TimeStep()*(1-share))
			}
			kinetic, potential = w.Energy()
			worst = max(worst, math.Abs(kinetic+potential-start)/swing)
		}
		have := (crossings[len(crossings)-1] - crossings[0]) / float64(len(crossings)-1)
		t.Logf("amplitude %v: period %.6f want %.6f, energy off by %.2g of the swing's", amplitude, have, want, worst)
		near(t, "period", have, want, 1e-4*want)
		near(t, "energy's error", worst, 0, 0.01)
	}
}

// The step is of first order, so the energy's error falls with it.
func TestDoublePendulumEnergy(t *testing.T) {
	drift := func(h float64) float64 {
		m := pendulum(0.3, 0.2, 2)
		m.TimeStep = h
		lower := pendulum(0.2, 0.15, 1).Bodies[0]
		lower.Name, lower.Parent, lower.Pos, lower.Joint.Name = "lower", "rod", Vec3{Z: -0.4}, "elbow"
		m.Bodies = append(m.Bodies, lower)
		w := compile(t, m)
		kinetic, potential := w.Energy()
		start, worst := kinetic+potential, 0.0
		for w.Time < 10 {
			run(t, w, h)
			kinetic, potential = w.Energy()
			worst = max(worst, math.Abs(kinetic+potential-start))
		}
		return worst / (2 * 9.81 * (0.3*0.2 + 0.2*(0.4+0.15)))
	}
	coarse, fine := drift(0.002), drift(0.00025)
	t.Logf("energy off by %.3g at 2 ms, %.3g at 0.25 ms", coarse, fine)
	near(t, "the energy's error at 2 ms", coarse, 0, 0.05)
	near(t, "the energy's error at 0.25 ms", fine, 0, 0.05/6)
}

// spinner is a free body in weightlessness with three different moments.
func spinner(omega Vec3) (Model, Inertia) {
	inertia := BoxInertia(0.5, Vec3{0.1, 0.05, 0.02})
	return Model{Bodies: []Body{{
		Name: "box", Mass: 0.5, Inertia: inertia, Joint: Joint{Name: "box", Type: Free},
	}}}, inertia
}

func TestSpinConservesAngularMomentum(t *testing.T) {
	for name, omega := range map[string]Vec3{
		"tumbling":    {3, -5, 4},
		"Dzhanibekov": {0.01, 8, 0.01}, // about the middle axis, which is unstable
	} {
		m, inertia := spinner(omega)
		w := compile(t, m)
		w.Vel[3], w.Vel[4], w.Vel[5] = omega.X, omega.Y, omega.Z
		momentum := func() Vec3 {
			// The velocity is that of the middle of the step, half a turn before the pose.
			omega := Vec3{w.Vel[3], w.Vel[4], w.Vel[5]}
			middle := w.BodyPose(0).Quat.Mul(rotation(omega.Scale(-w.step / 2)))
			return middle.Rotate(inertia.Mul(omega))
		}
		start := momentum()
		energy, _ := w.Energy()
		flips, worst := 0, 0.0
		for w.Time < 20 {
			before := w.Vel[4]
			run(t, w, w.TimeStep())
			if before*w.Vel[4] < 0 {
				flips++
			}
			kinetic, _ := w.Energy()
			worst = max(worst, math.Abs(kinetic-energy)/energy)
			if d := momentum().Sub(start).Norm(); d > 1e-9*start.Norm() {
				t.Fatalf("%s: at %.3f s the angular momentum is off by %.2g of %.2g", name, w.Time, d, start.Norm())
			}
		}
		t.Logf("%s: %d flips, energy off by at most %.2g", name, flips, worst)
		near(t, name+": the energy's relative error", worst, 0, 0.03)
		if name == "Dzhanibekov" && flips < 2 {
			t.Errorf("it flipped %d times, want several", flips)
		}
	}
}

// shaken puts w into a state that rng draws.
func shaken(w *World, rng *rand.Rand) {
	for i := range w.Pos {
		w.Pos[i] = rng.NormFloat64()
	}
	for i := range w.Vel {
		w.Vel[i] = 2 * rng.NormFloat64()
	}
	w.updateKinematics()
}

// oddBody is a free body with its centre of mass and its axes off its frame, and a
// branching arm on it.
func oddBody() Model {
	link := func(name, parent string, joint JointType, axis Vec3) Body {
		return Body{
			Name: name, Parent: parent, Pos: Vec3{0.1, -0.05, 0.2}, Quat: Quat{0.9, 0.1, -0.3, 0.2},
			Mass: 0.3, COM: Vec3{0.03, 0.02, -0.05}, Inertia: Inertia{3e-3, 2e-3, 2.5e-3, 2e-4, -1e-4, 3e-4},
			Joint: Joint{Name: name, Type: joint, Axis: axis, Anchor: Vec3{0.02, -0.01, 0.03}, Armature: 0.001},
		}
	}
	root := link("root", "", Free, Vec3{})
	root.Joint = Joint{Name: "root", Type: Free}
	welded := link("welded", "b", Fixed, Vec3{})
	welded.Joint = Joint{}
	return Model{Gravity: Vec3{1, -2, -9}, Bodies: []Body{
		root, link("a", "root", Hinge, Vec3{1, 2, 3}), link("b", "a", Slide, Vec3{-1, 0.5, 2}),
		welded, link("c", "welded", Hinge, Vec3{0, 1, 0}), link("d", "root", Hinge, Vec3{1, 0, 0}),
	}}
}

// The inertia matrix times an acceleration is what the inverse dynamics adds for it.
func TestMassMatrixAgreesWithInverseDynamics(t *testing.T) {
	w := compile(t, oddBody())
	n := len(w.Vel)
	matrix, bias, forces, acc := make([]float64, n*n), make([]float64, n), make([]float64, n), make([]float64, n)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		shaken(w, rng)
		for i := range acc {
			acc[i] = rng.NormFloat64()
		}
		w.MassMatrix(matrix)
		w.InverseDynamics(nil, bias)
		w.InverseDynamics(acc, forces)
		for i := range n {
			near(t, "force", dot(matrix[i*n:i*n+n], acc)+bias[i], forces[i], 1e-10)
		}
		// The L'DL factors solve the same system as gonum's Cholesky decomposition.
		var cholesky mat.Cholesky
		if !cholesky.Factorize(mat.NewSymDense(n, matrix)) {
			t.Fatal("the inertia matrix is not positive definite")
		}
		var want mat.VecDense
		if err := cholesky.SolveVecTo(&want, mat.NewVecDense(n, acc)); err != nil {
			t.Fatal(err)
		}
		w.trees[0].solve(acc)
		for i := range acc {
			near(t, "solution", acc[i], want.AtVec(i), 1e-8*(1+math.Abs(want.AtVec(i))))
		}
	}
}

// The kinetic energy is v'Mv/2, which Energy takes from the bodies instead; and without
// gravity and forces it does not change, so that its rate v'·(M·acc + bias) vanishes for
// bias forces that hold all of it: dT/dt = v'(forces) by d'Alembert.
func TestKineticEnergyAgreesWithMassMatrixAndBias(t *testing.T) {
	m := oddBody()
	m.Gravity = Vec3{}
	w := compile(t, m)
	n := len(w.Vel)
	matrix, forces := make([]float64, n*n), make([]float64, n)
	acc := make([]float64, n)
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20 {
		shaken(w, rng)
		w.MassMatrix(matrix)
		half := 0.0
		for i := range n {
			half += w.Vel[i] * dot(matrix[i*n:i*n+n], w.Vel) / 2
			acc[i] = rng.NormFloat64()
		}
		kinetic, _ := w.Energy()
		near(t, "kinetic energy", kinetic, half, 1e-9*half)

		w.InverseDynamics(acc, forces)
		power := dot(w.Vel, forces)
		// The energy a little later and a little earlier, along the same accelerations.
		const dt = 1e-5
		energyAt := func(sign float64) float64 {
			at := compile(t, m)
			copy(at.Pos, w.Pos)
			for i := range n {
				at.Vel[i] = w.Vel[i] + sign*dt/2*acc[i]
			}
			at.step = sign * dt
			at.integrate()
			for i := range n {
				at.Vel[i] = w.Vel[i] + sign*dt*acc[i]
			}
			at.updateKinematics()
			kinetic, _ := at.Energy()
			return kinetic
		}
		rate := (energyAt(1) - energyAt(-1)) / (2 * dt)
		near(t, "power", power, rate, 1e-5*(1+math.Abs(rate)))
	}
}

func TestJacobianAgreesWithFiniteDifferences(t *testing.T) {
	w := compile(t, oddBody())
	n := len(w.Vel)
	jacobian := make([]float64, 6*n)
	rng := rand.New(rand.NewPCG(5, 6))
	body, err := w.Body("c")
	if err != nil {
		t.Fatal(err)
	}
	local := Vec3{0.1, 0.2, -0.1}
	for range 10 {
		shaken(w, rng)
		w.Pos[0] = 0 // keep numbers small
		w.updateKinematics()
		w.Jacobian(body, w.BodyPose(body).Apply(local), jacobian)
		var state State
		w.Save(&state)
		const dt = 1e-6
		for d := range n {
			at := func(sign float64) Pose {
				if err := w.Restore(&state); err != nil {
					t.Fatal(err)
				}
				clear(w.Vel)
				w.Vel[d] = sign * dt / w.step
				w.integrate()
				w.updateKinematics()
				return w.BodyPose(body)
			}
			plus, minus := at(1), at(-1)
			linear := plus.Apply(local).Sub(minus.Apply(local)).Scale(1 / (2 * dt))
			turn := plus.Quat.Mul(minus.Quat.Conj())
			angular := Vec3{turn.X, turn.Y, turn.Z}.Scale(math.Copysign(2, turn.W) / (2 * dt))
			for k := range 3 {
				near(t, "linear", jacobian[k*n+d], element(linear, k), 1e-6)
				near(t, "angular", jacobian[(3+k)*n+d], element(angular, k), 1e-6)
			}
		}
		if err := w.Restore(&state); err != nil {
			t.Fatal(err)
		}
		linear, angular := w.BodyVelocity(body)
		arm := w.BodyPose(body).Quat.Rotate(local)
		linear = linear.Add(angular.Cross(arm))
		for k := range 3 {
			near(t, "velocity", element(linear, k), dot(jacobian[k*n:k*n+n], w.Vel), 1e-9)
			near(t, "angular velocity", element(angular, k), dot(jacobian[(3+k)*n:(4+k)*n], w.Vel), 1e-9)
		}
	}
}

// A servo on a flywheel is a second-order system: x(t) of the step response in closed form.
func TestServoStepResponse(t *testing.T) {
	for name, kv := range map[string]float64{"underdamped": 2, "overdamped": 20} {
		const inertia, kp, target = 0.05, 1000.0, 0.3
		m := Model{TimeStep: 0.0001, Bodies: []Body{{
			Name: "wheel", Mass: 1, Inertia: Inertia{0.02, 0.02, 0.02, 0, 0, 0},
			Joint: Joint{Name: "axle", Type: Hinge, Axis: Vec3{Z: 1}, Armature: 0.03, Damping: 1},
		}}, Servos: []Servo{{Name: "motor", Joint: "axle", KP: kp, KV: kv - 1}}}
		w := compile(t, m)
		w.Ctrl[0] = target
		omega := math.Sqrt(kp / inertia)
		decay := kv / (2 * inertia)
		worst := 0.0
		for w.Time < 0.2 {
			run(t, w, w.TimeStep())
			x := 0.0
			if discriminant := decay*decay - omega*omega; discriminant < 0 {
				f := math.Sqrt(-discriminant)
				x = target * (1 - math.Exp(-decay*w.Time)*(math.Cos(f*w.Time)+decay/f*math.Sin(f*w.Time)))
			} else {
				f := math.Sqrt(discriminant)
				x = target * (1 - math.Exp(-decay*w.Time)*(math.Cosh(f*w.Time)+decay/f*math.Sinh(f*w.Time)))
			}
			worst = max(worst, math.Abs(w.Pos[0]-x))
		}
		near(t, name+": greatest error", worst, 0, 0.01*target)
	}
}

func TestServoForceAndControlLimits(t *testing.T) {
	m := Model{Bodies: []Body{{
		Name: "cart", Mass: 2, Joint: Joint{Name: "rail", Type: Slide, Axis: Vec3{X: 1}},
	}}, Servos: []Servo{{Name: "motor", Joint: "rail", KP: 1000, ForceRange: [2]float64{-3, 3}, CtrlRange: [2]float64{-1, 1}}}}
	w := compile(t, m)
	w.Ctrl[0] = 50
	run(t, w, 0.2)
	near(t, "speed under the greatest force", w.Vel[0], 3.0/2*0.2, 1e-9)
	w.Pos[0], w.Vel[0] = 1, 0
	run(t, w, 0.1)
	near(t, "position at the greatest command", w.Pos[0], 1, 1e-12)
}

// Dry friction holds a joint up to its bound and slows it by it beyond.
func TestJointFrictionLoss(t *testing.T) {
	w := compile(t, Model{Bodies: []Body{{
		Name: "cart", Mass: 2, Joint: Joint{Name: "rail", Type: Slide, Axis: Vec3{X: 1}, FrictionLoss: 1.5},
	}}})
	w.Applied[0] = 1.4
	run(t, w, 1)
	near(t, "position below the bound", w.Pos[0], 0, 1e-12)
	w.Applied[0] = 2.5
	run(t, w, 1)
	near(t, "speed above the bound", w.Vel[0], (2.5-1.5)/2*1, 1e-9)
	w.Applied[0] = 0
	run(t, w, 2)
	near(t, "speed in the end", w.Vel[0], 0, 1e-12)
}

func TestJointLimitHolds(t *testing.T) {
	m := pendulum(1, 0.3, 1)
	m.Bodies[0].Joint.Range = [2]float64{-0.5, 1.2}
	w := compile(t, m)
	lowest := 0.0
	for range 2000 {
		run(t, w, w.TimeStep())
		lowest = min(lowest, w.Pos[0])
	}
	near(t, "deepest position", lowest, -0.5, 0.01)
	near(t, "resting position", w.Pos[0], 0, 1.2)
	w.Applied[0] = -30
	run(t, w, 2)
	near(t, "position against the limit", w.Pos[0], -0.5, 0.01)
	near(t, "speed at the limit", w.Vel[0], 0, 1e-6)
}

func TestQuatRotatesLikeItsMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float64Range(-1, 1)
		q := Quat{number.Draw(t, "w"), number.Draw(t, "x"), number.Draw(t, "y"), number.Draw(t, "z")}.Unit()
		v := Vec3{number.Draw(t, "vx"), number.Draw(t, "vy"), number.Draw(t, "vz")}
		m := q.Matrix()
		if d := m.Mul(v).Sub(q.Rotate(v)).Norm(); d > 1e-12 {
			t.Errorf("matrix and quaternion differ by %v", d)
		}
		if d := m.MulT(m.Mul(v)).Sub(v).Norm(); d > 1e-12 {
			t.Errorf("the transpose is off by %v", d)
		}
		p := Pose{v, q}
		if d := p.Mul(p.Inverse()).Apply(v).Sub(v).Norm(); d > 1e-12 {
			t.Errorf("the inverse pose is off by %v", d)
		}
	})
}

// The capsule's moments by numerical integration over discs.
func TestCapsuleInertiaAgainstIntegration(t *testing.T) {
	const mass, r, h = 2.0, 0.1, 0.25
	const slices = 200000
	volume, axial, lateral := 0.0, 0.0, 0.0
	for k := range slices {
		z := (h + r) * (2*(float64(k)+0.5)/slices - 1)
		squared := r * r
		if over := math.Abs(z) - h; over > 0 {
			squared -= over * over
		}
		volume += squared
		axial += squared * squared / 2
		lateral += squared * (squared/4 + z*z)
	}
	have := CapsuleInertia(mass, r, h)
	near(t, "axial moment", have.ZZ, mass*axial/volume, 1e-8)
	near(t, "lateral moment", have.XX, mass*lateral/volume, 1e-8)
}
