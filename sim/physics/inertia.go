package physics

import (
	"errors"
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"
)

// Inertia is a symmetric inertia matrix in kg·m², in the order of MuJoCo's fullinertia.
// The products are the matrix's own elements, so they carry the minus sign of -∫xy dm.
type Inertia struct{ XX, YY, ZZ, XY, XZ, YZ float64 }

// Mul returns the matrix times v.
func (i *Inertia) Mul(v Vec3) Vec3 {
	return Vec3{
		i.XX*v.X + i.XY*v.Y + i.XZ*v.Z,
		i.XY*v.X + i.YY*v.Y + i.YZ*v.Z,
		i.XZ*v.X + i.YZ*v.Y + i.ZZ*v.Z,
	}
}

// SphereInertia returns the inertia of a solid sphere about its centre.
func SphereInertia(mass, radius float64) Inertia {
	i := 0.4 * mass * radius * radius
	return Inertia{XX: i, YY: i, ZZ: i}
}

// BoxInertia returns the inertia of a solid box about its centre; half is half its edges.
func BoxInertia(mass float64, half Vec3) Inertia {
	x, y, z := half.X*half.X, half.Y*half.Y, half.Z*half.Z
	return Inertia{XX: mass / 3 * (y + z), YY: mass / 3 * (x + z), ZZ: mass / 3 * (x + y)}
}

// CylinderInertia returns the inertia of a solid cylinder along z about its centre.
func CylinderInertia(mass, radius, halfLength float64) Inertia {
	side := mass * (radius*radius/4 + halfLength*halfLength/3)
	return Inertia{XX: side, YY: side, ZZ: mass * radius * radius / 2}
}

// CapsuleInertia returns the inertia of a solid capsule along z about its centre;
// halfLength is half the length of its cylinder.
func CapsuleInertia(mass, radius, halfLength float64) Inertia {
	r, h := radius, halfLength
	cylinder := mass * 2 * h / (2*h + 4*r/3) // the rest is the two halves of a sphere
	sphere := mass - cylinder
	i := CylinderInertia(cylinder, r, h)
	// A half-sphere's centre of mass is 3r/8 from its flat side.
	side := i.XX + sphere*(0.4*r*r+h*h+0.75*h*r)
	return Inertia{XX: side, YY: side, ZZ: i.ZZ + 0.4*sphere*r*r}
}

// principal returns the principal moments and, as columns, their axes. It refuses a
// matrix that no mass distribution has.
func (i *Inertia) principal() (moments Vec3, axes Mat3, err error) {
	for _, x := range []float64{i.XX, i.YY, i.ZZ, i.XY, i.XZ, i.YZ} {
		if !finite(x) {
			return Vec3{}, Mat3{}, errors.New("inertia is not finite")
		}
	}
	if i.XY == 0 && i.XZ == 0 && i.YZ == 0 {
		moments, axes = Vec3{i.XX, i.YY, i.ZZ}, (Quat{W: 1}).Matrix()
	} else {
		var eigen mat.EigenSym
		if !eigen.Factorize(mat.NewSymDense(3, []float64{
			i.XX, i.XY, i.XZ, i.XY, i.YY, i.YZ, i.XZ, i.YZ, i.ZZ,
		}), true) {
			return Vec3{}, Mat3{}, errors.New("inertia has no principal axes")
		}
		var values [3]float64
		eigen.Values(values[:])
		var vectors mat.Dense
		eigen.VectorsTo(&vectors)
		column := func(c int) Vec3 { return Vec3{vectors.At(0, c), vectors.At(1, c), vectors.At(2, c)} }
		moments = Vec3{values[0], values[1], values[2]}
		axes = Mat3{X: column(0), Y: column(1), Z: column(2)}
	}
	a, b, c := moments.X, moments.Y, moments.Z
	if min(a, b, c) < 0 {
		return Vec3{}, Mat3{}, fmt.Errorf("inertia has principal moments %v, want none negative", moments)
	}
	// Each is at most the sum of the others; published models round, so a little is let by.
	if largest := max(a, b, c); 2*largest > (a+b+c)*(1+1e-3) {
		return Vec3{}, Mat3{}, fmt.Errorf("inertia has principal moments %v; the largest exceeds the sum of the others", moments)
	}
	return moments, axes, nil
}

// nonNegative reports whether x is a number that a mass, a length or a coefficient may be.
func nonNegative(x float64) bool { return x >= 0 && x <= math.MaxFloat64 }
