//go:build mujoco && cgo

package mujoco

// #cgo LDFLAGS: -lmujoco -lpthread
// #include <stdlib.h>
// #include "guard.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"govla/sim/physics"
)

// Available says whether this program was built with MuJoCo.
const Available = true

// simulation is a model that MuJoCo has loaded, and its state. It is not safe for concurrent
// use. After close, every method returns errClosed.
type simulation struct {
	c       *C.vla_simulation
	warning string // that came with the model; mostly empty

	// After an error of its own MuJoCo says nothing about the state that it leaves.
	broken error
}

var errClosed = errors.New("the simulation is closed")

// load reads an MJCF file.
func load(path string) (*simulation, error) {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	c := C.vla_load(name)
	if c == nil {
		return nil, errors.New("no memory")
	}
	message := C.GoString(&c.message[0])
	if c.model == nil {
		C.vla_free(c)
		return nil, fmt.Errorf("MuJoCo: %s", message)
	}
	return &simulation{c: c, warning: message}, nil
}

func (s *simulation) close() {
	if s.c != nil {
		C.vla_free(s.c)
		s.c, s.broken = nil, errClosed
	}
}

func (s *simulation) model() *C.mjModel { return s.c.model }
func (s *simulation) data() *C.mjData   { return s.c.data }

// reset puts the simulation into its start state: that of keyframe 0, if there is one.
func (s *simulation) reset() error {
	if s.broken != nil {
		return s.broken
	}
	return s.came(C.vla_reset(s.c, 0))
}

// forward brings the poses up to date with the positions.
func (s *simulation) forward() error {
	if s.broken != nil {
		return s.broken
	}
	return s.came(C.vla_forward(s.c))
}

// step advances the simulation by count time steps, or until a warning, which is an error.
// After one that wraps physics.ErrDiverged the state is the start state.
func (s *simulation) step(count int) error {
	if s.broken != nil {
		return s.broken
	}
	at := float64(s.data().time)
	if err := s.came(C.vla_step(s.c, C.int(count))); err != nil {
		return fmt.Errorf("step at %.3f s: %w", at, err)
	}
	return nil
}

// mass writes the joint-space inertia to dst, [nv][nv], and returns the energies in J.
func (s *simulation) mass(dst []float64) (kinetic, potential float64, err error) {
	if s.broken != nil {
		return 0, 0, s.broken
	}
	var energy [2]float64
	err = s.came(C.vla_mass(s.c, (*C.mjtNum)(unsafe.SliceData(dst)), (*C.mjtNum)(&energy[0])))
	return energy[0], energy[1], err
}

// came turns what a call came to into an error.
func (s *simulation) came(result C.int) error {
	if result == C.VLA_OK {
		return nil
	}
	message := C.GoString(&s.c.message[0])
	if result == C.VLA_DIVERGED {
		return fmt.Errorf("%w: MuJoCo: %s", physics.ErrDiverged, message)
	}
	err := fmt.Errorf("MuJoCo: %s", message)
	if result == C.VLA_FAILED {
		s.broken = err
	}
	return err
}

// find returns the index of the element of a kind (C.mjOBJ_*) with that name, or -1.
func (s *simulation) find(kind C.int, name string) int {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	return int(C.mj_name2id(s.model(), kind, c))
}

// name returns the name of element i of a kind, or kind_i where it has none.
func (s *simulation) name(kind C.int, i int) string {
	if c := C.mj_id2name(s.model(), kind, C.int(i)); c != nil && *c != 0 {
		return C.GoString(c)
	}
	return fmt.Sprintf("%s_%d", C.GoString(C.mju_type2Str(kind)), i)
}

// floats returns the n numbers at p, which belong to MuJoCo.
func floats(p *C.mjtNum, n C.int) []float64 {
	return unsafe.Slice((*float64)(unsafe.Pointer(p)), int(n))
}

// singles is floats for the numbers of pictures.
func singles(p *C.float, n C.int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), int(n))
}

// ints is floats for indices.
func ints(p *C.int, n C.int) []int32 {
	return unsafe.Slice((*int32)(unsafe.Pointer(p)), int(n))
}

// at returns the address of element i of an array that belongs to MuJoCo.
func at[T any](p *T, i int) *T {
	return (*T)(unsafe.Add(unsafe.Pointer(p), uintptr(i)*unsafe.Sizeof(*p)))
}
